"""All that is peculiar to PostgreSQL: connecting, its settings, what its errors mean. Knows no tables."""

import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import QueuePool

from service.domain.errors import Unavailable
from service.storage import postgres_rows
from service.storage.errors import DatabaseAway, StorageError

log = logging.getLogger(__name__)

_OLDEST_SERVER = 130000  # pg_current_xact_id() and xid8 came with it
# Whoever holds a transaction open and says nothing for so long has died or hangs.
_IDLE_IN_TRANSACTION_SECONDS = 60
# A server behind a cut cable is noticed in this time; one that hangs, by the watchdog.
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
_WATCHDOG_SECONDS = 0.1
# Any number that no other program uses on the same server for its advisory locks.
_MIGRATION_LOCK = 0x5245434F
_MIGRATION_WAIT_SECONDS = 60
_RETRY_SECONDS = 1.0

# What an operator must mend, by words of libpq's or the server's; all else may pass by itself.
_LASTING = {
    r"authentication failed|no password supplied": "refuses the user or the password; look at"
    " RECOMMENDATIONS_DATABASE_PASSWORD_FILE",
    r"database \".*\" does not exist": "has no such database; create it",
    r"role \".*\" does not exist": "has no such user; create it",
    r"pg_hba\.conf|not permitted to log in|permission denied for database": "lets this user not in from here;"
    " look at its pg_hba.conf",
    r"certificate verify failed|root certificate file|server certificate for": "shows a certificate that is"
    " not trusted; look at sslrootcert and the host's name",
    r"does not support SSL": "has no TLS, which sslmode asks for",
    r"expected authentication request|invalid response|received invalid": "is not a PostgreSQL server",
    r"invalid (integer|port|connection option|URI|sslmode)|unexpected spaces|invalid .* value": "has a URL"
    " that libpq cannot use",
}
# SQLSTATE classes: connection lost, resources used up, operator's doing, and the two that a retry mends.
_PASSING_STATES = ("08", "53", "57", "58", "25006", "55P03", "40001", "40P01")
_RETRIED_STATES = ("40001", "40P01")
_DEFINITE = {
    "42501": "refuses this user a right that it needs; grant it the tables",
    "42P01": "lacks a table; run `recommendations migrate`",
    "3F000": "has no schema to make tables in",
}


class Postgres:
    """A PostgreSQL database as storage uses one."""

    rows = postgres_rows
    parameters_limit = 10_000

    def __init__(
        self,
        url: str,
        *,
        password_file: Path | None,
        pool_size: int,
        connect_seconds: float,
        statement_seconds: float,
    ) -> None:
        """Prepare; nothing is connected yet. Raises StorageError for a URL that cannot be read."""
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise StorageError(f"the database URL cannot be read: {_one_line(error)}") from None
        self._url, self._password_file = url, password_file
        self._connect_seconds, self.statement_seconds = connect_seconds, statement_seconds
        hosts = str(parts.get("host") or "localhost").split(",")
        ports = str(parts.get("port") or "5432").split(",")
        if wrong := [port for port in ports if not port.isdecimal() or not 0 < int(port) < 65536]:
            raise StorageError(f"the database URL has the port {wrong[0]}, which is not between 1 and 65535")
        places = [f"{host}:{ports[min(i, len(ports) - 1)]}" for i, host in enumerate(hosts)]
        self.label = f"database {parts.get('dbname') or parts.get('user') or ''} at {', '.join(places)}"
        self._watchdog = _Watchdog()
        self.engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=statement_seconds,
            # Errors end up in logs and spans, where no reader's doings belong.
            hide_parameters=True,
            isolation_level="READ COMMITTED",
        )
        self._bulk = self.engine.execution_options(patient=True)

        @event.listens_for(self.engine, "begin")
        def begin(connection: Connection) -> None:
            options = connection.get_execution_options()
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            if not options.get("patient"):
                self._watchdog.watch(driver, statement_seconds)
            if options.get("reads"):
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if options.get("patient"):
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")

        @event.listens_for(self.engine, "checkin")
        def checkin(driver: Any, _record: object) -> None:
            if driver is not None:
                self._watchdog.forget(driver)

    def _connect(self) -> psycopg.Connection:
        # Read at every connection: a new password takes effect without a restart.
        secret = {"password": self._password()} if self._password_file else {}
        milliseconds = int(self.statement_seconds * 1000)
        connection = psycopg.connect(
            make_conninfo(
                self._url,
                connect_timeout=max(1, round(self._connect_seconds)),
                application_name="recommendations",
                client_encoding="UTF8",
                tcp_user_timeout=milliseconds,
                **_KEEPALIVE,
                **secret,
            ),
            autocommit=True,
        )
        try:
            if connection.info.server_version < _OLDEST_SERVER:
                raise StorageError(
                    f"{self.label} is PostgreSQL {connection.info.server_version // 10000};"
                    " 13 or newer is needed"
                )
            encoding = connection.info.parameter_status("server_encoding")
            if encoding != "UTF8":
                raise StorageError(f"{self.label} has the encoding {encoding}; UTF8 is needed")
            for name, value in (
                ("statement_timeout", milliseconds),
                ("lock_timeout", milliseconds),
                ("idle_in_transaction_session_timeout", _IDLE_IN_TRANSACTION_SECONDS * 1000),
                ("timezone", "UTC"),
            ):
                connection.execute("SELECT set_config(%s, %s, false)", (name, str(value)))
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise
        return connection

    def _password(self) -> str:
        assert self._password_file is not None
        try:
            return self._password_file.read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is not a text"
            raise StorageError(
                f"RECOMMENDATIONS_DATABASE_PASSWORD_FILE: {self._password_file}: {reason}"
            ) from None

    def reading(self, *, patient: bool) -> Any:
        """Return an engine whose transactions see one state of the database throughout."""
        return self.engine.execution_options(reads=True, patient=patient)

    def writing(self, *, patient: bool) -> Any:
        """Return an engine whose transactions write; patient ones may take minutes."""
        return self._bulk if patient else self.engine

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Open the transaction of a migration; one that migrates at the same time is waited for."""
        with self._bulk.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_MIGRATION_WAIT_SECONDS}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            yield connection

    def before_write(self) -> str | None:
        """Name what forbids writing; nothing does, as far as can be told without asking the server."""
        return None

    def after_forgetting(self) -> None:
        """Let the space of what was deleted be used again, and so be overwritten, soon.

        A deleted row cannot be seen any more at once. Its bytes stay in the table until VACUUM, and in the
        write-ahead log and in backups until those are recycled.
        """
        with self.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in ("interactions", "exposures"):
                connection.exec_driver_sql(f"VACUUM {table}")

    def close(self) -> None:
        """Close every connection that is idle now."""
        self.engine.dispose()
        self._watchdog.end()

    def should_retry(self, error: BaseException | None) -> bool:
        """Tell whether a transaction that failed may succeed at once: on another connection, or alone."""
        if not isinstance(error, psycopg.Error):
            return False
        return error.sqlstate in _RETRIED_STATES or (error.sqlstate or "08")[:2] in ("08", "57")

    def is_away(self, error: BaseException | None) -> bool:
        """Tell whether an error means that no statement can be run now, whichever."""
        if not isinstance(error, psycopg.OperationalError):
            return False
        return error.sqlstate is None or error.sqlstate[:2] in ("08", "57", "58") or error.sqlstate == "25006"

    def trouble(self, error: BaseException | None) -> str | None:
        """Say for operators what keeps the database from being used for now; None for any other error."""
        if not isinstance(error, psycopg.Error):
            return None
        state = error.sqlstate
        if state is None or state.startswith(_PASSING_STATES):
            return f"cannot be used right now ({_one_line(error)})"
        return _DEFINITE.get(state)

    def explain(self, error: BaseException | None) -> Exception | None:
        """Turn a driver's error into the domain's Unavailable; None where waiting does not help."""
        return (
            Unavailable("the database cannot be used right now", _RETRY_SECONDS)
            if self.trouble(error)
            else None
        )

    def refusal(self, error: BaseException | None) -> StorageError | None:
        """Turn what kept the database from being opened into the line that says what to do."""
        if not isinstance(error, psycopg.Error):
            return None
        said = _one_line(error)
        for words, meaning in _LASTING.items():
            if re.search(words, said):
                return StorageError(f"{self.label} {meaning} ({said})")
        if definite := _DEFINITE.get(error.sqlstate or ""):
            return StorageError(f"{self.label} {definite} ({said})")
        if error.sqlstate is None or error.sqlstate.startswith(_PASSING_STATES):
            return DatabaseAway(f"{self.label} cannot be reached ({said})")
        return StorageError(f"{self.label} cannot be used ({said})")


class _Watchdog:
    """Ends connections that have been used for longer than they may be.

    A server that hangs, instead of refusing, is noticed by no timeout of its own. When the socket is shut
    down under it, the driver returns with a lost connection.
    """

    def __init__(self) -> None:
        self._deadlines: WeakKeyDictionary[psycopg.Connection, float] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, connection: psycopg.Connection, seconds: float) -> None:
        """End the connection unless it is given back within so many seconds."""
        with self._lock:
            self._deadlines[connection] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="database-watchdog", daemon=True)
                self._thread.start()

    def forget(self, connection: psycopg.Connection) -> None:
        """Let the connection be."""
        with self._lock:
            self._deadlines.pop(connection, None)

    def end(self) -> None:
        """Stop watching."""
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.wait(_WATCHDOG_SECONDS):
            now = time.monotonic()
            with self._lock:
                late = [each for each, deadline in self._deadlines.items() if deadline < now]
                for connection in late:
                    del self._deadlines[connection]
            for connection in late:
                with (
                    suppress(psycopg.Error, OSError),
                    socket.socket(fileno=socket.dup(connection.fileno())) as wire,
                ):
                    wire.shutdown(socket.SHUT_RDWR)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
