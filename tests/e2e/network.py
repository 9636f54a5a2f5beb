"""NetworkPolicy: who gets in, and where the service gets out."""

import json

from tests.e2e.kubectl import Failed, get, kubectl, ready_servers
from tests.e2e.observed import Observed

_CONNECT = """
import socket, sys, time
for address in sys.argv[1:]:
    host, port = address.rsplit(":", 1)
    state, until = "", time.monotonic() + 3
    # A policy learns of a new pod a moment after its start.
    while state != "open" and time.monotonic() < until:
        try:
            socket.create_connection((host, int(port)), 2).close()
            state = "open"
        except socket.gaierror:
            state = "unknown"
        except OSError:
            state = "closed"
            time.sleep(0.5)
    print(address, state)
"""


def policies(_: Observed) -> None:
    """Pods with the label get in and others do not; the service reaches what it needs and nothing else."""
    address = get("pod", ready_servers()[0])["status"]["podIP"]
    # Open to all. The API server will not do here: it is on the node, where not every plugin enforces.
    prometheus = get("pod", "prometheus-e2e-0", namespace="monitoring")["status"]["podIP"]
    targets = (f"{address}:50051", f"{address}:8080", f"{prometheus}:9090")
    _expect(_from_a_pod(*targets, labelled=True), {"50051": "open", "8080": "closed", "9090": "open"})
    _expect(_from_a_pod(*targets, labelled=False), {"50051": "closed", "8080": "closed", "9090": "open"})
    seen = _lines(
        kubectl(
            "exec", ready_servers()[0], "--", "python", "-c", _CONNECT,
            "postgres:5432", "objects:7070", f"{prometheus}:9090",
        )
    )  # fmt: skip
    expected = {
        "postgres:5432": "open",
        "objects:7070": "open",
        f"{prometheus}:9090": "closed",
    }
    for target, state in expected.items():
        if seen[target] != state:
            raise Failed(f"from the service {target} is {seen[target]}, not {state}")


def _from_a_pod(*addresses: str, labelled: bool) -> dict[str, str]:
    """Connect from a pod of the shop's namespace like the load client's, with the label or without."""
    template = get("job", "load", namespace="shop")["spec"]["template"]["spec"]
    container = template["containers"][0] | {
        "command": ["python", "-c", _CONNECT, *addresses],
        "name": "probe",
    }
    name = "probe-labelled" if labelled else "probe"
    labels = {"onlinebooks.example/recommendations-client": "true"} if labelled else {}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": template | {"containers": [container]},
    }

    kubectl("apply", "-f", "-", stdin=json.dumps(manifest), namespace=None)
    kubectl(
        "wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s", namespace="shop"
    )
    seen = _lines(kubectl("logs", name, namespace="shop"))
    kubectl("delete", "pod", name, "--wait=false", namespace="shop")
    return {target.rsplit(":", 1)[1]: state for target, state in seen.items()}


def _lines(text: str) -> dict[str, str]:
    return dict(line.split() for line in text.splitlines())


def _expect(seen: dict[str, str], expected: dict[str, str]) -> None:
    if seen != expected:
        raise Failed(f"ports are {seen}, not {expected}")


DRILLS = [("network policies", policies)]
