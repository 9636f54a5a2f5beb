"""One worker as its supervisor sees it: a process, what it announced, its admin pages."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException

from service.workers.line import line_with

# A page takes milliseconds; a worker that hangs must not hold up the pages of the others.
_PAGE_SECONDS = 2.0


class Worker:
    """A process that was started; `is_serving` is set once it says so."""

    def __init__(
        self, number: int, core: int | None, environment: Mapping[str, str], page_token_key: bytes
    ) -> None:
        """Start it, pinned to a core."""
        self.number = number
        self.started_at = time.monotonic()
        self.admin_port: int | None = None
        self.is_serving = threading.Event()
        self.shop = ""  # what it says of its shop, once it serves
        self.metrics_page: str | None = None  # its latest
        self.unanswered = 0  # how often in a row it was asked for metrics and did not answer
        self._line, theirs = line_with(page_token_key)
        with theirs, _children_on(core):
            self.process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-m", "service", "serve", "--worker-line", str(theirs.fileno())],
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                # Ctrl-C in a terminal goes to the supervisor alone, which passes it on once.
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name=f"worker-{number}", daemon=True).start()

    def _listen(self) -> None:
        with self._line, self._line.makefile() as lines, suppress(OSError):
            for line in lines:
                said = json.loads(line)
                self.admin_port = said.get("admin_port", self.admin_port)
                if said.get("serving"):
                    self.shop = said["serving"]
                    self.is_serving.set()

    @property
    def is_answering(self) -> bool:
        """Whether it answered when it was asked last."""
        return self.metrics_page is not None and not self.unanswered

    @property
    def lived_seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self.started_at

    def page(self, path: str) -> str | None:
        """Return a page of its admin port, whatever the status; None where nothing answers."""
        if self.admin_port is None or self.process.poll() is not None:
            return None
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=_PAGE_SECONDS) as answer:
                return answer.read().decode() or None
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except (OSError, HTTPException):  # the latter where it was killed in the middle of a page
            return None


@contextmanager
def _children_on(core: int | None) -> Iterator[None]:
    """Let processes that are started meanwhile run on one core: they inherit where this thread may run.

    So each of their threads is pinned, however early it begins. Where the system refuses, nothing is pinned.
    """
    everywhere = os.sched_getaffinity(0)
    if core is not None:
        with suppress(OSError):
            os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)
