"""Certificates change under load: no restart, no failed call."""

import ssl

import grpc
from cryptography.x509 import load_pem_x509_certificate
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from service.security.authority import Authority, Pair
from tests.e2e import prod
from tests.e2e.kubectl import (
    Failed,
    forwarded,
    kubectl,
    metrics,
    put_secret,
    ready_servers,
    secret_data,
    servers,
    touch_pods,
    wait_until,
)
from tests.e2e.observed import Observed

_SERVER_NAME = "recommendations.recommendations.svc"
WEB = "spiffe://onlinebooks.example/web"


def server_renewed(_: Observed) -> None:
    """cert-manager renews every minute; each replica shows the new one without a restart."""
    pods = {pod["metadata"]["name"]: _restarts(pod) for pod in servers()}
    expiry = 'recommendations_tls_certificate_expiry_timestamp_seconds{certificate="server"}'
    old = _server_expiry()
    wait_until(lambda: _server_expiry() > old, "cert-manager's renewal", 100)
    new = _server_expiry()
    touch_pods()
    wait_until(lambda: all(metrics(pod)[expiry] >= new for pod in pods), "the new certificate in use", 120)
    for pod in pods:
        with forwarded(f"pod/{pod}", 50051) as port:
            shown = load_pem_x509_certificate(ssl.get_server_certificate(("localhost", port)).encode())
        if shown.not_valid_after_utc.timestamp() < new:
            raise Failed(f"{pod} shows a certificate that ends at {shown.not_valid_after_utc}")
    if {pod["metadata"]["name"]: _restarts(pod) for pod in servers()} != pods:
        raise Failed("a pod was restarted")


def _server_expiry() -> float:
    certificate = load_pem_x509_certificate(secret_data("recommendations-server")["tls.crt"])
    return certificate.not_valid_after_utc.timestamp()


def client_ca_replaced(_: Observed) -> None:
    """Old, both, new: a client of the old CA works during the overlap and is refused after it."""
    pods = {pod["metadata"]["name"]: _restarts(pod) for pod in servers()}
    old_ca = secret_data("recommendations-ca")["ca.crt"]
    server_ca = secret_data("web-client")["ca.crt"]
    files = secret_data("web-client")
    old = Pair(files["tls.crt"], files["tls.key"])
    authority = Authority.create("the next CA")
    new = authority.issue("web", uris=[WEB])
    _expect("before", server_ca, (old, True), (new, False))
    _trust(old_ca + authority.pair.certificate)
    _expect("during the overlap", server_ca, (old, True), (new, True))
    put_secret("web-client", {"ca.crt": server_ca, "tls.crt": new.certificate, "tls.key": new.key}, "shop")
    kubectl(
        "annotate",
        "pod",
        "--selector",
        "job-name=load",
        "--overwrite",
        "onlinebooks.example/seen=new",
        namespace="shop",
    )
    read = ("exec", "job/load", "--", "cat", "/certificate/tls.crt")
    wait_until(
        lambda: kubectl(*read, namespace="shop").encode() == new.certificate,
        "the load client's new certificate",
    )
    _trust(authority.pair.certificate)
    _expect("after it", server_ca, (old, False), (new, True))
    if {pod["metadata"]["name"]: _restarts(pod) for pod in servers()} != pods:
        raise Failed("a pod was restarted")


def _trust(bundle: bytes) -> None:
    prod.put_client_ca(bundle)
    touch_pods()


def _expect(when: str, server_ca: bytes, *clients: tuple[Pair, bool]) -> None:
    """Wait until every replica takes and refuses new connections as it must."""
    for pod in ready_servers():
        for number, (pair, welcome) in enumerate(clients):
            wait_until(
                lambda pod=pod, pair=pair, welcome=welcome: _may_call(pod, server_ca, pair) == welcome,
                f"{when}: {pod} {'takes' if welcome else 'refuses'} client {number}",
            )


def _may_call(pod: str, server_ca: bytes, pair: Pair) -> bool:
    options = [("grpc.ssl_target_name_override", _SERVER_NAME), ("grpc.use_local_subchannel_pool", 1)]
    credentials = grpc.ssl_channel_credentials(server_ca, pair.key, pair.certificate)
    with (
        forwarded(f"pod/{pod}", 50051) as port,
        grpc.secure_channel(f"localhost:{port}", credentials, options) as channel,
    ):
        try:
            RecommendationServiceStub(channel).Recommend(pb.RecommendRequest(reader_id=1), timeout=10)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise Failed(f"{pod}: {error.code()} {error.details()}") from None
            return False
        return True


def _restarts(pod: dict) -> int:
    return sum(each["restartCount"] for each in pod["status"]["containerStatuses"])


DRILLS = [
    ("server certificate renewed by cert-manager", server_renewed),
    ("client CA replaced with an overlap", client_ca_replaced),
]
