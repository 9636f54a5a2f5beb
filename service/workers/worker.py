"""One worker as its supervisor sees it: a process, what it announced, its admin pages."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress

# A page takes milliseconds; a worker that hangs must not hold up a scrape of the others.
_PAGE_SECONDS = 2.0


class Worker:
    """A process that was started; `is_serving` is set once it says so."""

    def __init__(self, number: int, core: int, environment: Mapping[str, str]) -> None:
        """Start it, pinned to a core."""
        self.number = number
        self.started_at = time.monotonic()
        self.admin_port: int | None = None
        self.is_serving = threading.Event()
        self.shop = ""  # what it says of its shop, once it serves
        # Its other end is the worker's: what it says comes in here, and it notices when we are gone.
        self._line, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-m", "service", "serve", "--worker-line", str(theirs.fileno())],
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                # Ctrl-C in a terminal goes to the supervisor alone, which passes it on once.
                start_new_session=True,
            )
        with suppress(OSError):  # it has ended already
            os.sched_setaffinity(self.process.pid, {core})
        threading.Thread(target=self._listen, name=f"worker-{number}", daemon=True).start()

    def _listen(self) -> None:
        with self._line, self._line.makefile() as lines:
            for line in lines:
                said = json.loads(line)
                self.admin_port = said.get("admin_port", self.admin_port)
                if said.get("serving"):
                    self.shop = said["serving"]
                    self.is_serving.set()

    @property
    def lived_seconds(self) -> float:
        return time.monotonic() - self.started_at

    def page(self, path: str) -> str | None:
        """Return a page of its admin port, whatever the status; None where nothing answers."""
        if self.admin_port is None or self.process.poll() is not None:
            return None
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=_PAGE_SECONDS) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return None


class SupervisorLine:
    """The worker's end: tells the supervisor things, and notices when it is gone."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    def tell(self, **said: object) -> None:
        """Send one thing; a supervisor that is gone is not told."""
        with suppress(OSError):
            self._socket.sendall(json.dumps(said).encode() + b"\n")

    def wait_until_gone(self) -> None:
        """Return once the supervisor has ended, however it did."""
        with suppress(OSError):
            while self._socket.recv(1):
                pass
