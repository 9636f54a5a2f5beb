"""What happens to single pods, to the load and to what is behind the service."""

import json
import time

from tests.e2e import prod
from tests.e2e.kubectl import (
    NAMESPACE,
    Failed,
    get,
    is_ready,
    kubectl,
    metrics,
    ready_servers,
    wait_until,
)
from tests.e2e.observed import Observed


def _replaced(gone: str, count: int) -> None:
    wait_until(
        lambda: gone not in (ready := ready_servers()) and len(ready) >= count, f"a pod in place of {gone}"
    )


def deleted_with_grace(_: Observed) -> None:
    ready = ready_servers()
    kubectl("delete", "pod", ready[0])
    _replaced(ready[0], len(ready))


def deleted_without_grace(_: Observed) -> None:
    ready = ready_servers()
    kubectl("delete", "pod", ready[0], "--grace-period=0", "--force")
    _replaced(ready[0], len(ready))


def evicted(_: Observed) -> None:
    """One goes; the next is refused until the first is replaced."""
    budget = lambda: get("poddisruptionbudget", "recommendations")["status"]  # noqa: E731
    wait_until(lambda: budget()["disruptionsAllowed"] > 0, "a budget that allows one")
    first, second, *_more = ready = ready_servers()
    _evict(first)
    try:
        _evict(second)
    except Failed as failed:
        if "disruption budget" not in str(failed):
            raise
    else:
        raise Failed("a second eviction was let through")
    _replaced(first, len(ready))


def _evict(pod: str) -> None:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction), namespace=None)


def autoscaled(_: Observed) -> None:
    """A storm of calls, and one more pod within two minutes."""
    # Brings the autoscaler back, and the image and settings that other drills have changed by hand.
    prod.release(prod.PROD)
    scaler = lambda: get("horizontalpodautoscaler", "recommendations")["status"]  # noqa: E731
    wait_until(lambda: scaler().get("desiredReplicas") == 3 == len(ready_servers()), "three pods, as wanted")
    _storm("SIGUSR1")
    try:
        wait_until(lambda: len(ready_servers()) > 3, "a fourth pod", 180, 2)
    finally:
        _storm("SIGUSR2")


def _storm(signal: str) -> None:
    command = f"import os, signal; os.kill(1, signal.{signal})"
    kubectl("exec", "job/load", "--", "python", "-c", command, namespace="shop")


def trained(_: Observed) -> None:
    """A new model is published, and every replica takes it up."""

    def versions() -> set[str]:
        return {
            name
            for pod in ready_servers()
            for name in metrics(pod)
            if name.startswith("recommendations_model_info{")
        }

    before = versions()
    prod.train(f"train-{int(time.time())}")
    wait_until(lambda: len(now := versions()) == 1 and not now & before, "one new model in all replicas", 60)


def database_killed(observed: Observed) -> None:
    """Answers go on from memory; writes are tried again, and none that was acknowledged is lost."""
    before = observed.writes["acknowledged"]
    killed = get("pod", "postgres-0")["metadata"]["uid"]
    kubectl("delete", "pod", "postgres-0", "--grace-period=1")
    wait_until(
        lambda: is_ready(pod := get("pod", "postgres-0")) and pod["metadata"]["uid"] != killed,
        "PostgreSQL's next pod",
        120,
    )
    database = 'recommendations_condition{condition="database"}'
    wait_until(
        lambda: all(metrics(pod)[database] == 1 for pod in ready_servers()), "the database's return", 60
    )
    wait_until(lambda: observed.writes["acknowledged"] > before + 5, "writes after the outage", 90)
    acknowledged, stored = observed.writes["acknowledged"], _stored()
    if stored < acknowledged:
        raise Failed(f"{acknowledged} writes were acknowledged, {stored} are stored")


def _stored() -> int:
    query = "SELECT count(*) FROM interactions WHERE interaction_id LIKE 'e2e-%'"
    return int(
        kubectl(
            "exec",
            "postgres-0",
            "--",
            "psql",
            "--username=recommendations",
            "--tuples-only",
            f"--command={query}",
        )
    )


DRILLS = [
    ("pod deleted with grace", deleted_with_grace),
    ("pod deleted without grace", deleted_without_grace),
    ("eviction within the budget", evicted),
    ("autoscaling under a storm", autoscaled),
    ("training from the CronJob", trained),
    ("PostgreSQL's pod killed", database_killed),
]
