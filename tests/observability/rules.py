"""The rules of the PrometheusRule as Prometheus and promtool read them; knows nothing of what they say."""

from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[2] / "k8s" / "components" / "monitoring"
GROUPS: list[dict[str, Any]] = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())["spec"][
    "groups"
]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in RULES if "alert" in rule}


def write_rules(file: Path) -> Path:
    """Write a file of rules; return it."""
    file.write_text(yaml.safe_dump({"groups": GROUPS}))
    return file
