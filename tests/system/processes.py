"""Run `python -m service` as processes of their own, as an operator does; knows nothing of what is tested."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self
from unittest.mock import patch

import grpc

from service.cli import main

# Generous: other tests share the machine. Nothing waits for its end when all is well.
PATIENCE_SECONDS = 90.0
_PORTS = re.compile(r"on port (\d+), http://localhost:(\d+)/readyz")
_PLAINTEXT = re.compile(r"localhost:(\d+) Recommendations/Recommend")


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Poll until the condition holds; fail with what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)


def environment_with(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these settings of the service and no others."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RECOMMENDATIONS_")}
    # Processes of tests share two cores; a pool of BLAS threads in each only gets in the way.
    return inherited | {"OPENBLAS_NUM_THREADS": "1"} | settings


def run(
    *arguments: str | Path, settings: Mapping[str, str], cwd: Path, stdin: str = "", module: str = "service"
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return its exit code and output."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=environment_with(settings),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 2,
        check=False,
    )


def run_here(
    *arguments: str | Path, settings: Mapping[str, str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: as `run`, without the second that a new one takes to import it all."""
    line = ["recommendations", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environment_with(settings), clear=True),
        patch.object(sys, "argv", line),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return subprocess.CompletedProcess(line, code, out.getvalue(), err.getvalue())


def assert_fails(
    result: subprocess.CompletedProcess[str], code: int, *parts: str, lines: int | None = 1
) -> None:
    """Assert that a command ended with this code and told why in lines after the program's name.

    Lines that only report progress are left out; `lines=None` allows any number.
    """
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    complaints = [
        line for line in result.stderr.splitlines() if not re.match(r"(import|export|train|evaluate)\b", line)
    ]
    assert all(line.startswith("recommendations: ") for line in complaints), result.stderr
    assert lines is None or len(complaints) == lines, result.stderr
    for part in parts:
        assert part in result.stderr, (part, result.stderr)


class ServiceProcess:
    """`recommendations serve` while entered: started, waited for, and killed at the end if it still runs."""

    def __init__(self, settings: Mapping[str, str], directory: Path, prefix: Sequence[str] = ()) -> None:
        """Prepare to run in a directory, where the output goes too; ports are free ones unless set.

        `prefix` is a command that runs the rest of its command line.
        """
        self._settings = {"RECOMMENDATIONS_PORT": "0", "RECOMMENDATIONS_ADMIN_PORT": "0"} | settings
        self._directory = directory
        self._prefix = prefix
        self._outputs = [directory / f"serve-{time.monotonic_ns()}.{end}" for end in ("out", "err")]

    def command(self) -> list[str]:
        """Return the command line that is run."""
        return [*self._prefix, sys.executable, "-m", "service", "serve", "--hints"]

    def __enter__(self) -> Self:
        with self._outputs[0].open("wb") as out, self._outputs[1].open("wb") as err:
            self._started_at = time.monotonic()
            self.process = subprocess.Popen(
                self.command(),
                env=environment_with(self._settings),
                cwd=self._directory,
                stdout=out,
                stderr=err,
            )
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    @property
    def stdout(self) -> str:
        return self._outputs[0].read_text()

    @property
    def stderr(self) -> str:
        return self._outputs[1].read_text()

    def wait_listening(self) -> Self:
        """Wait for the lines that name the ports."""
        wait_until(lambda: _PORTS.search(self.stdout) or self.process.poll() is not None, "start")
        found = _PORTS.search(self.stdout)
        assert found, (self.process.returncode, self.stderr)
        self.port, self.admin_port = int(found[1]), int(found[2])
        plaintext = _PLAINTEXT.search(self.stdout)
        self.plaintext_port = int(plaintext[1]) if plaintext else None
        return self

    def wait_ready(self) -> Self:
        """Wait until /readyz says so; `ready_seconds` is how long that took from the start."""
        self.wait_listening()
        wait_until(lambda: self.get("/readyz")[0] == 200, "readiness")
        self.ready_seconds = time.monotonic() - self._started_at
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Get a page of the admin endpoint; code 0 where nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def channel(self, certificates: Path, client: str = "client") -> grpc.Channel:
        """Open a connection over mTLS as a client of a directory of certificates."""
        credentials = grpc.ssl_channel_credentials(
            (certificates / "ca.crt").read_bytes(),
            (certificates / f"{client}.key").read_bytes(),
            (certificates / f"{client}.crt").read_bytes(),
        )
        # Not shared with channels of other tests, so that a connection of a dead server is not taken again.
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(f"localhost:{self.port}", credentials, options)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait_exit(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def stop(self) -> int:
        """Ask it to end and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait_exit()
