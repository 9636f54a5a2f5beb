"""The operator's Prometheus scrapes each replica and has the rules; an alert fires once its cause is made."""

import json
import urllib.parse
from typing import Any

from tests.e2e.kubectl import Failed, kubectl, ready_servers, wait_until
from tests.e2e.observed import Observed
from tests.observability.dashboard import queries

_PROMETHEUS = "/api/v1/namespaces/monitoring/pods/prometheus-e2e-0:9090/proxy/api/v1"


def _ask(path: str, **parameters: str) -> Any:
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    return json.loads(kubectl("get", "--raw", f"{_PROMETHEUS}/{path}{query}", namespace=None))["data"]


def scraped(_: Observed) -> None:
    """One target for each replica, all up; rules are loaded; the dashboard's queries have data."""

    def up() -> bool:
        targets = _ask("targets", state="active")["activeTargets"]
        found = {each["labels"].get("pod") for each in targets if each["health"] == "up"}
        return set(ready_servers()) <= found

    wait_until(up, "every replica scraped", 120, 2)
    rules = [rule["name"] for group in _ask("rules")["groups"] for rule in group["rules"]]
    if "RecommendationsDatabaseAway" not in rules:
        raise Failed(f"rules that are loaded: {rules}")
    for panel, expression in queries():
        wait_until(
            lambda expression=expression: _ask("query", query=expression)["result"],
            f"data of {panel}: {expression}",
            60,
            3,
        )


def alerted(_: Observed) -> None:
    """PostgreSQL is taken away until its alert fires, and ends when it is back."""
    if states := _states("RecommendationsDatabaseAway"):
        raise Failed(f"the alert is {states} before its cause is there")
    kubectl("scale", "statefulset/postgres", "--replicas=0")
    try:
        wait_until(lambda: "firing" in _states("RecommendationsDatabaseAway"), "the alert", 180, 3)
    finally:
        kubectl("scale", "statefulset/postgres", "--replicas=1")
    kubectl("rollout", "status", "statefulset/postgres", "--timeout=120s")
    wait_until(lambda: not _states("RecommendationsDatabaseAway"), "the end of the alert", 90, 3)


def _states(name: str) -> set[str]:
    return {each["state"] for each in _ask("alerts")["alerts"] if each["labels"]["alertname"] == name}


DRILLS = [
    ("Prometheus scrapes every replica", scraped),
    ("database away, its alert fires", alerted),
]
