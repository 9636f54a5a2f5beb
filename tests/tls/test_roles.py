"""The development certificates and their roles, over real handshakes and the interceptors."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from interceptors.chain import Chain
from interceptors.errors import Errors
from interceptors.identity import Identity
from service.security.access import Policy
from service.security.certificates import make_development_certificates
from service.security.tls import ServerCredentials

ROLES = Path(__file__).parents[2] / "certs" / "roles.toml"
RECOMMEND, FORGET = (
    "/Recommendations/Recommend",
    "/onlinebooks.recommendations.v1.RecommendationService/ForgetReader",
)


class Methods(grpc.GenericRpcHandler):
    """Serves a method of any contract, and one that no table names."""

    def service(self, handler_call_details):
        if handler_call_details.method in (RECOMMEND, FORGET, "/shop.Tills/Open"):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request)
        return None


@pytest.fixture
def status(tmp_path):
    """Return the status of a call of a method with a certificate of the development directory."""
    make_development_certificates(tmp_path)
    policy = Policy.load(ROLES)
    with ExitStack() as stack:

        def serve(client_ca: Path | None) -> int:
            paths = tmp_path / "server.crt", tmp_path / "server.key", client_ca
            credentials = ServerCredentials(*paths, reload_seconds=60, registry=CollectorRegistry())
            chain = Chain([Errors(), Identity(lambda peer, method: policy.refusal(peer, method.full))])
            server = grpc.server(ThreadPoolExecutor(2), handlers=[Methods()], interceptors=[chain])
            port = server.add_secure_port("localhost:0", stack.enter_context(credentials).credentials)
            server.start()
            stack.callback(lambda: server.stop(0).wait(10))
            return port

        ports = {True: serve(tmp_path / "ca.crt"), False: serve(None)}

        def call(method: str, name: str | None) -> grpc.StatusCode:
            pair = [(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("key", "crt")] if name else []
            credentials = grpc.ssl_channel_credentials((tmp_path / "ca.crt").read_bytes(), *pair)
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.secure_channel(f"localhost:{ports[bool(name)]}", credentials, options) as channel:
                try:
                    channel.unary_unary(method)(b"hello", timeout=10)
                except grpc.RpcError as error:
                    return error.code()
                return grpc.StatusCode.OK

        yield call


def test_each_certificate_opens_what_its_roles_say(status):
    assert status(RECOMMEND, "client") is grpc.StatusCode.OK
    assert status(FORGET, "client") is grpc.StatusCode.OK
    assert status(RECOMMEND, "reader") is grpc.StatusCode.OK
    assert status(FORGET, "reader") is grpc.StatusCode.PERMISSION_DENIED


def test_caller_without_certificate_is_anonymous_where_none_is_needed(status):
    assert status(RECOMMEND, None) is grpc.StatusCode.OK
    assert status(FORGET, None) is grpc.StatusCode.UNAUTHENTICATED


def test_method_that_no_table_names_is_refused_and_one_that_nobody_serves_is_unimplemented(status):
    assert status("/shop.Tills/Open", "client") is grpc.StatusCode.PERMISSION_DENIED
    assert status("/shop.Tills/Close", "client") is grpc.StatusCode.UNIMPLEMENTED
