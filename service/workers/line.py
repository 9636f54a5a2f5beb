"""The line between a supervisor and a worker: a pair of sockets that nobody else can open or read.

The supervisor's first message is what the worker is given beside its settings; what comes back are JSON
lines. The line ends with whoever holds its other end, however that ended.
"""

import json
import socket
from contextlib import suppress


def line_with(page_token_key: bytes) -> tuple[socket.socket, socket.socket]:
    """Return the supervisor's end and the worker's, with the first message on its way."""
    ours, theirs = socket.socketpair()
    # Neither in the environment nor in the arguments, which others on the machine may see and logs may show.
    ours.sendall(json.dumps({"page_token_key": page_token_key.hex()}).encode() + b"\n")
    return ours, theirs


class SupervisorLine:
    """The worker's end: says what it was given, tells the supervisor things, notices when it is gone."""

    def __init__(self, descriptor: int) -> None:
        """Take up the end that this process inherited."""
        self._socket = socket.socket(fileno=descriptor)
        given = json.loads(self._socket.makefile().readline())
        self.page_token_key = bytes.fromhex(given["page_token_key"])

    def tell(self, **said: object) -> None:
        """Send one thing; a supervisor that is gone is not told."""
        with suppress(OSError):
            self._socket.sendall(json.dumps(said).encode() + b"\n")

    def wait_until_gone(self) -> None:
        """Return once the supervisor has ended, however it did."""
        with suppress(OSError):
            while self._socket.recv(1):
                pass
