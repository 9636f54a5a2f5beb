"""The queries of the Grafana dashboard, as Prometheus takes them; knows nothing of what they find."""

import json

from tests.observability.rules import MONITORING

# As Grafana fills them in: four scrapes, and every namespace.
_VARIABLES = {"$__rate_interval": "1m", "$namespace": ".*"}


def queries(**variables: str) -> list[tuple[str, str]]:
    """Return (panel, query) of every query; `rate_interval` and others take the place of the usual values."""
    values = _VARIABLES | {f"$__{name}": value for name, value in variables.items()}
    found = []
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in values.items():
                expression = expression.replace(variable, value)
            found.append((panel["title"], expression))
    return found
