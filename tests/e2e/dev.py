"""The dev overlay, with the README's commands, called by grpcurl through `kubectl port-forward`."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.e2e.kubectl import NAMESPACE, Failed, apply, forwarded, kubectl, rolled_out, wait_until
from tests.tools import HOW_TO_GET

OVERLAY = Path("k8s/overlays/dev")
RECOMMEND = "onlinebooks.recommendations.v1.RecommendationService/Recommend"


def drill() -> None:
    """Apply, call, apply again, delete."""
    # The README's first command but for what builds the image, which is in the cluster already.
    subprocess.run(["make", "cluster-certs"], check=True, capture_output=True)
    apply(str(OVERLAY))
    rolled_out()
    with forwarded("service/recommendations", 50051) as port:
        listed = _grpcurl(port, "list").split()
        if "onlinebooks.recommendations.v1.RecommendationService" not in listed:
            raise Failed(f"grpcurl list: {listed}")
        if "rpc Recommend (" not in _grpcurl(port, "describe", RECOMMEND.partition("/")[0]):
            raise Failed("grpcurl describe does not show the method")
        answer = json.loads(_grpcurl(port, RECOMMEND, data='{"reader_id": 42, "page_size": 3}'))
        if len(answer["books"]) != 3 or answer["strategy"] != "STRATEGY_PERSONAL":
            raise Failed(f"grpcurl Recommend: {answer}")
    before = kubectl("get", "replicasets", "--output", "name")
    apply(str(OVERLAY))
    if kubectl("get", "replicasets", "--output", "name") != before:
        raise Failed("applying again changed the pods")
    kubectl("delete", "--kustomize", str(OVERLAY), "--wait", namespace=None)
    wait_until(
        lambda: NAMESPACE not in kubectl("get", "namespaces", namespace=None), "the end of the namespace"
    )


def _grpcurl(port: int, *arguments: str, data: str | None = None) -> str:
    certificates = OVERLAY / "certs"
    pair = ("-cert", certificates / "client.crt", "-key", certificates / "client.key")
    program = shutil.which("grpcurl")
    if not program:
        raise Failed(f"grpcurl is not on PATH; get it with: {HOW_TO_GET['grpcurl']}")
    options = ("-d", data) if data else ()
    result = subprocess.run(
        [program, "-cacert", certificates / "ca.crt", *pair, *options, f"localhost:{port}", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if result.returncode:
        raise Failed(f"grpcurl {' '.join(arguments)}: {result.stderr}")
    return result.stdout
