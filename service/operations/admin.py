"""Serve /livez, /readyz and /metrics over HTTP, on a port and threads of its own.

Knows nothing of grpc: liveness and a scrape must be answered however busy the calls are.
"""

import json
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from service.failure import Failure

# Probes and scrapes take a connection each and end it within milliseconds; some replicas of Prometheus,
# the kubelet and a person with curl fit in with room. Beyond, the oldest connection goes.
MAX_CONNECTIONS = 32
# Longer than any scrape takes; a client that sends or reads nothing for so long is dropped.
CONNECTION_SECONDS = 10.0
# How often the age of connections is looked at, and how long closing may take.
POLL_SECONDS = 0.2

_TEXT = "text/plain; charset=utf-8"
_log = logging.getLogger("recommendations.admin")


class Described(Protocol):
    """What tells whether the service is ready, and why."""

    def describe(self) -> dict[str, Any]: ...


class AdminError(Failure):
    """The admin port cannot be opened; one line that names port and setting."""


class AdminServer:
    """The admin endpoint while entered as a context manager; port 0 takes a free one, see `port`.

    Raises AdminError on entering when the port cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        conditions: Described,
        registry: CollectorRegistry,
        *,
        connection_seconds: float = CONNECTION_SECONDS,
    ):
        self._host = host
        self._port = port
        self._connection_seconds = connection_seconds
        self._pages: dict[str, _Page] = {
            "/livez": lambda _accept: (HTTPStatus.OK, _TEXT, b"ok\n"),
            "/readyz": lambda _accept: _readiness(conditions),
            "/metrics": lambda accept: _exposition(registry, accept),
        }

    def __enter__(self) -> Self:
        try:
            family, _, _, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._server = _Server(family, address, self._pages, self._connection_seconds)
        except OSError as error:
            raise AdminError(
                f"RECOMMENDATIONS_ADMIN_PORT: {self._port}: cannot listen on {self._host}: {error.strerror}"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="admin", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.server_address[1]


_Page = Callable[[str], tuple[HTTPStatus, str, bytes]]


def _readiness(conditions: Described) -> tuple[HTTPStatus, str, bytes]:
    described = conditions.describe()
    status = HTTPStatus.OK if described["ready"] else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "application/json", json.dumps(described, indent=2).encode() + b"\n"


def _exposition(registry: CollectorRegistry, accept: str) -> tuple[HTTPStatus, str, bytes]:
    encode, content_type = choose_encoder(accept)
    return HTTPStatus.OK, content_type, encode(registry)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    # http.server's own class looks its host name up in the DNS when it binds, which can take seconds.
    allow_reuse_address = True  # a restart must not wait for connections of the process before
    allow_reuse_port = False  # two processes on one port would answer for each other
    daemon_threads = True
    request_queue_size = 128  # connections that come at once while others are accepted

    def __init__(self, family: int, address: Any, pages: dict[str, _Page], connection_seconds: float):
        self.address_family = family
        self.pages = pages
        self.connection_seconds = connection_seconds
        self._opened: dict[socket.socket, float] = {}  # oldest first
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            while len(self._opened) >= MAX_CONNECTIONS:
                self._drop(next(iter(self._opened)))
            self._opened[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Drop connections that took too long: a timeout of each read alone lets a client drip for ever."""
        with self._lock:
            limit = time.monotonic() - self.connection_seconds
            for request in [one for one, opened in self._opened.items() if opened < limit]:
                self._drop(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._opened.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that went away or were dropped; what a page does wrong is caught in the handler.
        _log.debug("admin connection ended early", exc_info=True)

    def _drop(self, request: socket.socket) -> None:
        del self._opened[request]
        try:
            # Wakes the thread that reads or writes there; that thread closes it.
            request.shutdown(socket.SHUT_RDWR)
        except OSError:
            _log.debug("admin connection was gone already", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.connection_seconds)

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, _TEXT, b"not found\n")
            return
        try:
            answer = page(self.headers.get("Accept", ""))
        except Exception:  # noqa: BLE001 - a collector that fails must not fail in silence
            _log.exception("%s failed", self.path.partition("?")[0])
            answer = (HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"internal error\n")
        self._answer(*answer)

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        # The base class calls it for requests that it cannot read, and with 501 for methods without a do_….
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self._answer(status, _TEXT, f"{status.phrase.lower()}\n".encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        # Without the banner that tells Python's version, and one request a connection.
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: probes come every few seconds."""
