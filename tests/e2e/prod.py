"""The prod overlay on a PostgreSQL, a bucket and cert-manager's certificates: three ready pods and back."""

import os
import secrets
from pathlib import Path

import yaml

from tests.e2e.kubectl import (
    NAMESPACE,
    Failed,
    apply,
    get,
    kubectl,
    metrics,
    put,
    put_secret,
    ready_servers,
    rolled_out,
    secret_data,
    servers,
    wait_until,
)

BACKENDS, PROD, LOAD, MONITORING = (
    f"tests/e2e/cluster/{name}" for name in ("backends", "prod", "load", "monitoring")
)


def set_up() -> None:
    """Deploy as k8s/README.md tells; pods wait for what is missing and become ready by themselves."""
    kubectl("apply", "--server-side", "-f", "k8s/base/namespace.yaml", namespace=None)
    access, secret = "models", secrets.token_hex(16)
    credentials = f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
    put_secret("objects", {"access": access.encode(), "secret": secret.encode()})
    put_secret("recommendations-models", {"credentials": credentials.encode()})
    put_secret("recommendations-database", {"password": secrets.token_hex(16).encode()})
    put_secret("recommendations-page-tokens", {"key": secrets.token_bytes(32)})
    apply(BACKENDS)
    kubectl("rollout", "status", "statefulset/postgres", "--timeout=120s")
    kubectl("rollout", "status", "deployment/objects", "--timeout=60s")
    apply(PROD)
    _start_prometheus()
    _pods_wait_for_the_client_ca()
    kubectl("wait", "--for=condition=complete", "job/recommendations-migrate", "--timeout=120s")
    # Now: the longer pods have waited for it, the longer is the kubelet's pause before it looks again.
    put_client_ca(secret_data("recommendations-ca")["ca.crt"])
    _import_the_sample()
    _pods_wait_for_a_model()
    train("first-model")
    rolled_out()
    kubectl(
        "diff", "--server-side", "--kustomize", PROD, namespace=None
    )  # fails where applying again would change
    start_load()


def release(directory: str) -> None:
    """Bring a change out as k8s/README.md tells: also over what was changed by hand."""
    kubectl("delete", "job", "recommendations-migrate", "--ignore-not-found")
    apply(directory, "--force-conflicts")
    rolled_out()


def _start_prometheus() -> None:
    """Let the operator run one, of the image in PROMETHEUS_IMAGE where its own cannot be pulled."""
    objects = list(yaml.safe_load_all(Path(f"{MONITORING}/prometheus.yaml").read_text()))
    if image := os.environ.get("PROMETHEUS_IMAGE"):
        objects[-1]["spec"] |= {"image": image, "imagePullPolicy": "Never"}
    for each in objects:
        put(each)


def put_client_ca(bundle: bytes) -> None:
    """Say which CAs client certificates may come from."""
    put(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "recommendations-client-ca", "namespace": NAMESPACE},
            "data": {"ca.crt": bundle.decode()},
        }
    )


def _pods_wait_for_the_client_ca() -> None:
    """A volume that is not there yet: the pods wait, and say for what."""
    wait_until(lambda: get("secret", "recommendations-server"), "the server's certificate from cert-manager")
    missing = 'configmap "recommendations-client-ca" not found'
    told = lambda: any(missing in event["message"] for event in get("events"))  # noqa: E731
    wait_until(told, "an event that names what is missing", 150)
    if ready_servers():
        raise Failed("a pod is ready without its client CA")


def _pods_wait_for_a_model() -> None:
    """The bucket is empty: alive, not ready, and the condition says why."""

    def waiting() -> bool:
        pods = servers()
        return len(pods) >= 3 and all(
            metrics(pod["metadata"]["name"]).get('recommendations_condition{condition="model"}') == 0
            for pod in pods
        )

    wait_until(waiting, "pods that run and miss a model", 240, 2)
    if ready_servers():
        raise Failed("a pod is ready without a model")


def _import_the_sample() -> None:
    """Run the migration's Job with another command: it has the database's secret."""
    job = get("job", "recommendations-migrate")
    template = job["spec"]["template"]
    template["metadata"] = {"labels": {"app.kubernetes.io/name": "recommendations"}}
    template["spec"]["containers"][0] |= {"args": ["import", "sample"]}
    put(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "import-sample", "namespace": NAMESPACE},
            "spec": {"backoffLimit": 10, "template": template},
        }
    )
    kubectl("wait", "--for=condition=complete", "job/import-sample", "--timeout=180s")


def train(name: str) -> None:
    """Run the nightly training now."""
    kubectl("create", "job", "--from=cronjob/recommendations-train", name)
    kubectl("wait", "--for=condition=complete", f"job/{name}", "--timeout=180s")


def start_load() -> None:
    """Start the client, in a namespace of its own with a copy of its certificate."""
    kubectl("apply", "--server-side", "-f", f"{LOAD}/namespace.yaml", namespace=None)
    put_secret("web-client", secret_data("web-client"), "shop")
    apply(LOAD)
    kubectl(
        "wait",
        "--for=condition=ready",
        "pod",
        "--selector",
        "job-name=load",
        "--timeout=90s",
        namespace="shop",
    )


def remove() -> None:
    """Delete what was applied; nothing stays."""
    kubectl("delete", "--kustomize", LOAD, "--wait", namespace=None)
    kubectl("delete", "-f", f"{MONITORING}/prometheus.yaml", "--wait", namespace=None)
    kubectl("delete", "--kustomize", PROD, "--wait", namespace=None)
    kinds = kubectl(
        "api-resources", "--namespaced=false", "--verbs=list", "--output=name", namespace=None
    ).split()
    kinds.remove("componentstatuses")  # asking for these brings a warning and nothing else
    selector = "app.kubernetes.io/part-of=onlinebooks"
    if left := kubectl("get", ",".join(kinds), "--selector", selector, "--output=name", namespace=None):
        raise Failed(f"left behind: {left}")
    if f"namespace/{NAMESPACE}" in kubectl("get", "namespaces", "--output", "name", namespace=None):
        raise Failed("the namespace is still there")
