"""Find the programs outside Python that some tests run, and wait for what happens elsewhere."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

HOW_TO_GET = {
    "grpcurl": "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3",
    "openssl": "apt-get install openssl",
    "prometheus": "apt-get install prometheus",
    "promtool": "apt-get install prometheus",
    "h2load": "apt-get install nghttp2-client",
    "setpriv": "apt-get install util-linux",
    "unshare": "apt-get install util-linux",
    "docker": "apt-get install docker.io",
    "podman": "apt-get install podman",
    "kubectl": "see kubernetes.io/docs/tasks/tools",
    "versitygw": "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0",
} | dict.fromkeys(("initdb", "pg_ctl", "pg_basebackup"), "apt-get install postgresql")


def require_tool(name: str) -> str:
    """Return the path of a program: on PATH, or where `go install` puts it.

    Without it the test is skipped with how to get it, but fails under CI=true, where it must be there.
    """
    go_path = os.environ.get("GOPATH", "").partition(os.pathsep)[0] or Path.home() / "go"
    # Debian keeps the programs of a PostgreSQL server out of PATH.
    folders = [Path(go_path, "bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if not found:
        missing(f"{name} is not installed; get it with: {HOW_TO_GET[name]}")
    return found


def missing(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


NOBODY = 65534  # the number of a user who owns nothing


@contextmanager
def ordinary_rights() -> Iterator[None]:
    """Give up root, which may read and write everything, where the test runs as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def small_disk(directory: Path, megabytes: int) -> list[str]:
    """Return the prefix of a command that sees an empty tmpfs in this directory; it goes with the process.

    Where the machine allows no namespaces the test is skipped, but fails under CI=true.
    """
    directory.mkdir(parents=True, exist_ok=True)
    as_root = ["--user", "--map-root-user"] if os.geteuid() else []
    unshare = [require_tool("unshare"), "--mount", *as_root]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True, timeout=10).returncode:
        missing("this machine allows no mounts in a namespace; run with CAP_SYS_ADMIN or as another user")
    mount = f'mount -t tmpfs -o size={megabytes}m none "$0" && exec "$@"'
    return [*unshare, "sh", "-c", mount, str(directory)]


def wait_until(condition: Callable[[], object], seconds: float = 20, what: str = "it") -> None:
    """Poll until the condition holds; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.01)
