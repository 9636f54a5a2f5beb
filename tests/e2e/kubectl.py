"""Speak to the cluster that KUBECONFIG names, through kubectl; knows no drills."""

import base64
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

NAMESPACE = "recommendations"
# What every part of the service's pods, and no other pod, carries.
SERVER = "app.kubernetes.io/name=recommendations,app.kubernetes.io/component=server"


class Failed(Exception):
    """A drill that did not come out as it must."""


def kubectl(
    *arguments: str,
    namespace: str | None = NAMESPACE,
    stdin: str | None = None,
    seconds: float = 200,
    check: bool = True,
) -> str:
    """Run kubectl and return what it printed; raise Failed with its complaint."""
    command = ["kubectl", *(("--namespace", namespace) if namespace else ()), *arguments]
    try:
        result = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)}: not within {seconds:g} s") from None
    if check and result.returncode:
        raise Failed(f"{' '.join(command)}: {result.stderr.strip()[-1500:]}")
    return result.stdout + (result.stderr if not check else "")


def get(kind: str, name: str = "", *, namespace: str | None = NAMESPACE, selector: str = "") -> Any:
    """Return an object, or the items of a list."""
    arguments = ["get", kind, *([name] if name else []), "--output", "json"]
    if selector:
        arguments += ["--selector", selector]
    found = json.loads(kubectl(*arguments, namespace=namespace))
    return found if name else found["items"]


def apply(directory: str, *options: str) -> str:
    """Apply a kustomization on the server's side; what is warned of is a failure."""
    command = ["kubectl", "apply", "--server-side", *options, "--kustomize", directory]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode or "warning" in result.stderr.lower():
        raise Failed(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


def put(manifest: dict[str, Any]) -> None:
    """Apply one object."""
    kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest), namespace=None
    )


def secret_data(name: str, namespace: str = NAMESPACE) -> dict[str, bytes]:
    """Return the files of a secret."""
    return {
        key: base64.b64decode(value)
        for key, value in get("secret", name, namespace=namespace)["data"].items()
    }


def put_secret(name: str, data: dict[str, bytes], namespace: str = NAMESPACE) -> None:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "data": encoded,
        }
    )


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 120, pause: float = 0.5) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = condition()
        except Failed as failed:
            found = None
            what_failed = f" ({failed})"
        else:
            what_failed = ""
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:g} s{what_failed}")
        time.sleep(pause)


def servers() -> list[dict[str, Any]]:
    """Return the service's pods that are not going away."""
    return [pod for pod in get("pods", selector=SERVER) if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def settled() -> None:
    """Wait until no pod of the service is going away."""
    wait_until(
        lambda: len(servers()) == len(get("pods", selector=SERVER)), "the end of pods that go away", 90
    )


def ready_servers() -> list[str]:
    return [pod["metadata"]["name"] for pod in servers() if is_ready(pod)]


def rolled_out(seconds: float = 240) -> None:
    """Wait until the Deployment's newest template is what runs, and nothing else."""
    kubectl(
        "rollout", "status", "deployment/recommendations", f"--timeout={seconds:g}s", seconds=seconds + 10
    )


def touch_pods() -> None:
    """Let the kubelet look at mounted files now; by itself it does so about once a minute."""
    for pod in servers():
        kubectl(
            "annotate",
            "pod",
            pod["metadata"]["name"],
            "--overwrite",
            f"onlinebooks.example/seen={time.time_ns()}",
        )


def metrics(pod: str) -> dict[str, float]:
    """Return the series of a pod's /metrics."""
    # Not by the API server's proxy: where that is on another node, NetworkPolicy keeps it out.
    with forwarded(f"pod/{pod}", 8080) as port:
        try:
            with urlopen(f"http://localhost:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError as error:
            raise Failed(f"metrics of {pod}: {error}") from None
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


@contextmanager
def forwarded(target: str, port: int, namespace: str = NAMESPACE) -> Iterator[int]:
    """Forward a free local port to a pod or a Service."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        local = probe.getsockname()[1]
    process = subprocess.Popen(
        ["kubectl", "--namespace", namespace, "port-forward", target, f"{local}:{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if "Forwarding from" not in first:
            raise Failed(f"port-forward {target}: {first}")
        yield local
    finally:
        process.kill()
        process.wait()
