"""What the supervisor shows of workers that answer in part, or not at all."""

import socket
import threading

import pytest

from service.workers.pages import Pages
from service.workers.worker import Worker


class Deaf(Worker):
    """Nobody's process, on a port where somebody says this and hangs up."""

    def __init__(self, said: bytes) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.admin_port = self._server.getsockname()[1]
        self.process = self
        self.number, self.metrics_page, self.unanswered = 0, None, 0
        self.is_serving = threading.Event()
        threading.Thread(target=self._say, args=(said,), daemon=True).start()

    def poll(self) -> None:
        return None

    def _say(self, said: bytes) -> None:
        with self._server, self._server.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(said)


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"no HTTP\r\n\r\n"],
)
def test_half_a_page_is_none(said):
    assert Deaf(said).page("/metrics") is None


@pytest.mark.parametrize(("serves", "unanswered"), [(False, 0), (True, 1)])
def test_a_worker_that_serves_and_never_answered_counts_as_hanging(serves, unanswered):
    deaf = Deaf(b"")
    if serves:
        deaf.is_serving.set()
    with Pages(1) as pages:
        pages.workers[0] = deaf
        pages.look()
    assert deaf.unanswered == unanswered
