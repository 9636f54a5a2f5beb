"""Run a real S3 server for tests, versitygw over a directory; knows nothing of what is tested.

Objects are plain files below the directory, so that a test can look at them, and damage them.
"""

import itertools
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from service.security.authority import Pair
from tests.tools import require_tool, wait_until

ACCESS_KEY = "shop"


class S3Server:
    """A server on a free port of 127.0.0.1 with data of its own; a context manager that removes all of it."""

    def __init__(self, certificate: Pair | None = None) -> None:
        """Prepare to serve in plaintext, or over TLS with a certificate."""
        self._certificate = certificate

    def __enter__(self) -> Self:
        self._program = require_tool("versitygw")
        self.directory = Path(tempfile.mkdtemp(prefix="s3-"))
        self.secret = secrets.token_hex(12)
        self._buckets = itertools.count(1)
        (self.directory / "data").mkdir()
        self.credentials_file = self.write_credentials(self.directory / "credentials")
        self.port = _free_port()
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def process_id(self) -> int:
        return self._process.pid

    def start(self, *options: str) -> None:
        """Start the server, on the same port each time, and wait until it answers."""
        if self._certificate:
            files = self.directory / "server.crt", self.directory / "server.key"
            files[0].write_bytes(self._certificate.certificate)
            files[1].write_bytes(self._certificate.key)
            options = (*options, "--cert", str(files[0]), "--key", str(files[1]))
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    *("--access", ACCESS_KEY, "--secret", self.secret),
                    *("--port", f"127.0.0.1:{self.port}", "--health", "/health", "--quiet"),
                    *options,
                    *("posix", str(self.directory / "data")),
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, what="the start of versitygw")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait(10)

    def pause(self) -> None:
        """Let it hang: connections are accepted by the kernel and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)
        # On a busy machine its threads stop one after the other, and may answer until then.
        tasks = Path(f"/proc/{self._process.pid}/task")
        states = re.compile(r"^State:\s+T", re.MULTILINE)
        wait_until(lambda: all(states.search((task / "status").read_text()) for task in tasks.iterdir()))

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._process.send_signal(signal.SIGCONT)

    def new_bucket(self) -> tuple[str, Path]:
        """Make a bucket; return its name and the directory of its objects."""
        name = f"books-{next(self._buckets)}"
        (self.directory / "data" / name).mkdir()
        return name, self.directory / "data" / name

    def write_credentials(self, path: Path, secret: str = "", key: str = ACCESS_KEY) -> Path:
        """Write a file in the form of ~/.aws/credentials with the right secret, or another."""
        path.write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret or self.secret}\n"
        )
        return path

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.directory / "log").read_text()
        with suppress(OSError):
            # Whoever answers on this port is ours: the certificate is what tests look at.
            unverified = ssl._create_unverified_context()
            urllib.request.urlopen(f"{self.endpoint}/health", timeout=1, context=unverified).close()
            return True
        return False


class Proxy:
    """A TCP proxy before a server, whose `hinder` may delay what passes, hang, or answer in its place.

    It sees each piece that a client sends before it goes on, and returns what to answer instead, or None.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.hinder: Callable[[bytes], bytes | None] = lambda sent: None
        self.bytes_per_second = 0.0  # to the client; 0: as fast as may be
        self.requests: list[bytes] = []  # the first line of each piece that begins one
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        # A thread that waits in accept does not notice a close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def hang(self, _sent: bytes) -> None:
        """Be a `hinder` that lets nothing pass until the proxy ends."""
        self._stopped.wait(60)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            answers = threading.Thread(target=self._answer, args=(server, client), daemon=True)
            answers.start()
            while sent := client.recv(1 << 16):
                if sent.startswith((b"GET ", b"PUT ", b"POST ", b"DELETE ", b"HEAD ")):
                    self.requests.append(sent.partition(b"\r\n")[0])
                answer = self.hinder(sent)
                if answer is not None:
                    client.sendall(answer)
                    return
                server.sendall(sent)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while received := server.recv(1 << 12 if self.bytes_per_second else 1 << 16):
                if self.bytes_per_second:
                    time.sleep(len(received) / self.bytes_per_second)  # it is a slow line
                client.sendall(received)
            client.shutdown(socket.SHUT_RDWR)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
