"""What the supervisor shows of workers that answer in part, or not at all."""

import socket
import threading

import pytest

from service.workers.worker import Worker


class Deaf(Worker):
    """Nobody's process, on a port where somebody says this and hangs up."""

    def __init__(self, said: bytes) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.admin_port = self._server.getsockname()[1]
        self.process = self
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
