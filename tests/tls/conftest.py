"""Real servers with keys made in memory, and clients with the certificates that a test gives them."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from service.security.authority import Authority, Pair
from service.security.tls import ServerCredentials

RELOAD_SECONDS = 0.05


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Poll until the condition holds; fails after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


class TlsServer:
    """A server with one method, on the files of a directory: server.crt, server.key, ca.crt."""

    def __init__(self, directory: Path, registry: CollectorRegistry, client_ca: bool):
        self.credentials = ServerCredentials(
            directory / "server.crt",
            directory / "server.key",
            directory / "ca.crt" if client_ca else None,
            reload_seconds=RELOAD_SECONDS,
            registry=registry,
        )
        self._registry = registry
        handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
        self.server = grpc.server(ThreadPoolExecutor(2))
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("Echo", {"Say": handler}),)
        )
        self.port = self.server.add_secure_port("localhost:0", self.credentials.credentials)

    def call(self, trusted: bytes, client: Pair | None = None) -> grpc.StatusCode:
        """Make one call over a connection of its own and return its status."""
        credentials = grpc.ssl_channel_credentials(
            trusted, client and client.key, client and client.certificate
        )
        # A connection that was made with other credentials must not be taken again.
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(f"localhost:{self.port}", credentials, options) as channel:
            try:
                assert channel.unary_unary("/Echo/Say")(b"hello", timeout=10) == b"hello"
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

    def metric(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(f"recommendations_tls_{name}", labels)

    def reloads(self, result: str) -> float:
        return self.metric("reloads_total", result=result)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create("CA of the tests")


@pytest.fixture(scope="session")
def client(authority) -> Pair:
    return authority.issue("client", uris=["spiffe://onlinebooks.example/client"])


def write_pair(directory: Path, pair: Pair) -> None:
    (directory / "server.crt").write_bytes(pair.certificate)
    (directory / "server.key").write_bytes(pair.key)


@pytest.fixture
def files(tmp_path, authority) -> Path:
    """A directory with server.crt, server.key and ca.crt."""
    write_pair(tmp_path, authority.issue("server", hosts=["localhost"], server=True))
    (tmp_path / "ca.crt").write_bytes(authority.pair.certificate)
    return tmp_path


@pytest.fixture
def serve() -> Iterator[Callable[..., TlsServer]]:
    """Start a server on a directory of files; it is stopped at the end."""
    with ExitStack() as running:

        def start(directory: Path, *, client_ca: bool = True) -> TlsServer:
            one = TlsServer(directory, CollectorRegistry(), client_ca)
            running.enter_context(one.credentials)
            one.server.start()
            running.callback(lambda: one.server.stop(0).wait(10))
            return one

        yield start
