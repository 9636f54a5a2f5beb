"""Everything that makes new pods of a Deployment: what clients see of it is nothing."""

import json
from typing import Any

from tests.e2e import prod
from tests.e2e.kubectl import Failed, get, kubectl, ready_servers, rolled_out, servers, wait_until
from tests.e2e.observed import Observed

DEPLOYMENT = "deployment/recommendations"
CHANGED = "tests/e2e/cluster/changed"


def rolling_restart(_: Observed) -> None:
    before = {pod["metadata"]["name"] for pod in servers()}
    kubectl("rollout", "restart", DEPLOYMENT)
    rolled_out()
    if before & {pod["metadata"]["name"] for pod in servers()}:
        raise Failed("a pod was not replaced")


def new_image(_: Observed) -> None:
    kubectl("set", "image", DEPLOYMENT, "recommendations=localhost/recommendations:e2e-next")
    rolled_out()
    if _images() != {"localhost/recommendations:e2e-next"}:
        raise Failed(f"pods of {_images()}")


def _images() -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in servers()}


def bad_image(_: Observed) -> None:
    """It never becomes ready: the old pods keep serving, undoing mends it."""
    good, images = set(ready_servers()), _images()
    kubectl("set", "image", DEPLOYMENT, "recommendations=localhost/recommendations:e2e-broken")

    def broken_runs() -> list[dict[str, Any]]:
        return [
            pod
            for pod in servers()
            if pod["spec"]["containers"][0]["image"].endswith("broken")
            and pod["status"]["phase"] == "Running"
        ]

    wait_until(broken_runs, "the start of the broken image")
    if "timed out" not in kubectl("rollout", "status", DEPLOYMENT, "--timeout=10s", check=False):
        raise Failed("the broken image was rolled out")
    if not good <= set(ready_servers()):
        raise Failed("a pod that served went away")
    kubectl("rollout", "undo", DEPLOYMENT)
    rolled_out()
    if _images() != images:
        raise Failed(f"pods of {_images()}")


def scale(_: Observed) -> None:
    kubectl("delete", "horizontalpodautoscaler", "recommendations")  # it would scale too
    kubectl("scale", DEPLOYMENT, "--replicas=5")
    rolled_out()
    if len(ready_servers()) != 5:
        raise Failed(f"{len(ready_servers())} pods are ready")
    kubectl("scale", DEPLOYMENT, "--replicas=2")
    wait_until(lambda: len(servers()) == 2, "two pods that stay")


def changed_settings(_: Observed) -> None:
    """Another setting is another ConfigMap by name, which rolls the pods."""
    before = _settings_in_use()
    prod.release(CHANGED)
    if _settings_in_use() == before:
        raise Failed("the Deployment uses the ConfigMap that it had")


def unknown_setting(_: Observed) -> None:
    """A key that is not a setting: the new pod says so and does not start, the old ones stay."""
    bad = get("configmap", _settings_in_use())["data"] | {"RECOMMENDATIONS_COLOUR": "blue"}
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "recommendations-bad"},
        "data": bad,
    }
    kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))
    good = set(ready_servers())
    container = {"name": "recommendations", "envFrom": [{"configMapRef": {"name": "recommendations-bad"}}]}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    kubectl("patch", DEPLOYMENT, "--patch", json.dumps(patch))

    def told() -> bool:
        for pod in servers():
            states = pod["status"].get("containerStatuses") or [{"restartCount": 0}]
            if pod["metadata"]["name"] not in good and states[0]["restartCount"]:
                log = kubectl("logs", pod["metadata"]["name"], "--previous", check=False)
                return "RECOMMENDATIONS_COLOUR: is not a setting of this service" in log
        return False

    wait_until(told, "a pod that says which key is unknown")
    if not good <= set(ready_servers()):
        raise Failed("a pod that served went away")
    kubectl("rollout", "undo", DEPLOYMENT)
    rolled_out()


def _settings_in_use() -> str:
    template = get("deployment", "recommendations")["spec"]["template"]
    return template["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]


DRILLS = [
    ("rolling restart", rolling_restart),
    ("new image", new_image),
    ("bad image, rollout undo", bad_image),
    ("scale 3 to 5 to 2", scale),
    ("changed ConfigMap", changed_settings),
    ("ConfigMap with an unknown key", unknown_setting),
]
