"""Run real PostgreSQL servers for tests, from Debian's packages; knows nothing of what is tested."""

import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import psycopg
import pytest

from service.security.authority import Pair
from tests.tools import require_tool, wait_until

ROLE = "shop"
# Small, so that a server starts in a fraction of a second; durable as a shop's is: fsync stays on.
_CONFIGURATION = """
shared_buffers = '32MB'
max_connections = 60
wal_level = replica
max_wal_senders = 4
max_wal_size = '4GB'
logging_collector = off
timezone = 'UTC'
"""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PostgresServer:
    """A server on a free port of 127.0.0.1 with data of its own; a context manager that removes all of it."""

    def __init__(self, primary: "PostgresServer | None" = None, *, pair: Pair | None = None) -> None:
        """Prepare a server; a standby that follows `primary` where one is given, TLS with a server's pair."""
        self._primary, self._pair = primary, pair
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        for tool in ("initdb", "pg_ctl", "pg_basebackup"):
            require_tool(tool)
        # The server refuses to run as root, and its socket's path must be short.
        self._user = _unprivileged_user()
        self.directory = Path(tempfile.mkdtemp(prefix="pg-"))
        self.directory.chmod(0o700)
        if self._user:
            shutil.chown(self.directory, self._user)
        self.data = self.directory / "data"
        self.port = free_port()
        if self._primary:
            self.password, self.password_file = self._primary.password, self._primary.password_file
            self._run(
                "pg_basebackup",
                f"--pgdata={self.data}",
                f"--dbname=host={self._primary.directory} port={self._primary.port} user=postgres",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--wal-method=stream",
                "--no-sync",
            )
        else:
            self._make_cluster()
        self.start()
        if not self._primary:
            with self.connect() as connection:
                connection.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{self.password}'")
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _make_cluster(self) -> None:
        self.password = secrets.token_hex(12)
        self.password_file = self.directory / "password"
        self.password_file.write_text(f"{self.password}\n")
        self._run(
            "initdb",
            f"--pgdata={self.data}",
            "--username=postgres",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION + ("ssl = on\n" if self._pair else ""))
        if self._pair:
            for name, pem in (("server.crt", self._pair.certificate), ("server.key", self._pair.key)):
                (self.data / name).write_bytes(pem)
                (self.data / name).chmod(0o600)  # it refuses a key that others may read
                if self._user:
                    shutil.chown(self.data / name, self._user)

    def _run(self, tool: str, *arguments: str) -> None:
        subprocess.run(
            [*_as_user(self._user), require_tool(tool), *arguments],
            cwd="/",
            check=True,
            capture_output=True,
            timeout=60,
            env=os.environ | {"LC_ALL": "C"},
        )

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        self._run(
            "pg_ctl",
            f"--pgdata={self.data}",
            f"--log={self.directory / 'log'}",
            f"--options=-p {self.port} -h 127.0.0.1 -k {self.directory}",
            "--wait",
            "start",
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop the server in an orderly way: "smart", "fast" or "immediate"."""
        self._run("pg_ctl", f"--pgdata={self.data}", f"--mode={mode}", "--wait", "stop")

    def kill(self) -> None:
        """End all of its processes at once, as a power cut would."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: connections are accepted by the kernel and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def acknowledge_what_standbys_have(self) -> None:
        """From now on a commit waits until a standby has it on its disk."""
        with self.connect() as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            is_synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            wait_until(lambda: connection.execute(is_synchronous).fetchone()[0], what="a synchronous standby")

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", f"--pgdata={self.data}", "--wait", "promote")

    def _signal(self, number: signal.Signals) -> None:
        try:
            leader = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            assert Path(f"/proc/{leader}/comm").read_text() == "postgres\n"
        except FileNotFoundError:
            return
        # Stopped first, it starts no others between being asked for them and being killed.
        os.kill(leader, signal.SIGSTOP)
        children = Path(f"/proc/{leader}/task/{leader}/children").read_text()
        pids = [*map(int, children.split()), leader]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if number == signal.SIGKILL:
            # The next start refuses while one of them still has the shared memory.
            wait_until(lambda: not any(map(_is_alive, pids)))
            # Until somebody reaps a killed process its number looks alive, and these files name it.
            for lock in (self.data / "postmaster.pid", *self.directory.glob(".s.PGSQL.*")):
                lock.unlink(missing_ok=True)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Connect as the superuser, through the socket; every statement is its own transaction."""
        return psycopg.connect(
            host=str(self.directory), port=self.port, user="postgres", dbname=database, autocommit=True
        )

    def url(
        self, database: str, *others: "PostgresServer", host: str = "127.0.0.1", **options: object
    ) -> str:
        """Return the URL of a database for the shop's role; with other servers to fail over to."""
        hosts = ",".join(f"{host}:{server.port}" for server in (self, *others))
        if others:
            options["target_session_attrs"] = "read-write"
        query = "?" + urlencode(options) if options else ""
        return f"postgresql://{ROLE}@{hosts}/{database}{query}"

    def create_database(self, template: str = "template0") -> str:
        """Make a database that belongs to the shop's role and return its name."""
        name = f"shop{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template}")
        return name


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _as_user(name: str | None) -> list[str]:
    """Return the prefix of a command that runs as this user.

    subprocess's own `user` needs a fork, and a fork beside gRPC's threads crashes now and then.
    """
    if name is None:
        return []
    user = pwd.getpwnam(name)
    return [
        require_tool("setpriv"),
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--",
    ]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests of a process, each with databases of its own; not to be stopped."""
    with PostgresServer() as server:
        yield server
