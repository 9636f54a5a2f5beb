"""All that is peculiar to PostgreSQL: connecting, its settings, what its errors mean. Knows no tables."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import QueuePool

from service.domain.errors import Unavailable
from service.storage import postgres_errors, postgres_rows
from service.storage.errors import StorageError
from service.storage.postgres_errors import Refused
from service.storage.postgres_watchdog import Watchdog

_OLDEST_SERVER = 130000  # pg_current_xact_id() and xid8 came with it
# Whoever holds a transaction open and says nothing for so long has died or hangs; a patient one may write
# what it read to a slow disk meanwhile.
_IDLE_IN_TRANSACTION_SECONDS, _PATIENT_IDLE_SECONDS = 60, 600
# A sound server gives up a statement by itself, and has so long to say so before it counts as one that hangs.
_SAYING_SECONDS = 1.0
# A server behind a cut cable is noticed in 11 seconds where it should say something, and in a minute where it
# should take something: a sound one may stop reading a COPY for long. One that hangs: see the watchdog.
_KEEPALIVE = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_SET = (
    "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),"
    " set_config('idle_in_transaction_session_timeout', %s, false), set_config('timezone', %s, false)"
)
_BE_PATIENT = (
    "SELECT set_config('statement_timeout', '0', true),"
    f" set_config('idle_in_transaction_session_timeout', '{_PATIENT_IDLE_SECONDS}s', true)"
)
# Any number that no other program uses on the same server for its advisory locks.
_MIGRATION_LOCK = 0x5245434F
_MIGRATION_WAIT_SECONDS = 60
_RETRY_SECONDS = 1.0


class Postgres:
    """A PostgreSQL database as storage uses one."""

    rows = postgres_rows

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
            said = postgres_errors.without_secrets(error)
            raise StorageError(f"the database URL cannot be read: {said}") from None
        # An operator's own choice in the URL goes before ours.
        self._options: dict[str, Any] = {"application_name": "recommendations", **_KEEPALIVE} | parts
        self._password_file = password_file
        self._connect_seconds, self.statement_seconds = connect_seconds, statement_seconds
        self.label = f"database {parts.get('dbname') or parts.get('user') or ''} at {_places(parts)}"
        self._watchdog = Watchdog(connect_seconds)
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

        @event.listens_for(self.engine, "begin")
        def begin(connection: Connection) -> None:
            options = connection.get_execution_options()
            self._watchdog.watch(_driver(connection), statement_seconds + _SAYING_SECONDS)
            if options.get("reads"):
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if options.get("patient"):
                be_patient(connection, options)

        @event.listens_for(self.engine, "before_cursor_execute")
        def renew(connection: Connection, *_: object) -> None:
            self._watchdog.renew(_driver(connection))

        @event.listens_for(self.engine, "set_connection_execution_options")
        def be_patient(connection: Connection, options: Mapping[str, Any]) -> None:
            if options.get("patient"):
                self._watchdog.be_patient(_driver(connection))
                connection.exec_driver_sql(_BE_PATIENT)

        @event.listens_for(self.engine, "checkin")
        def checkin(driver: Any, _record: object) -> None:
            if driver is not None:
                self._watchdog.forget(driver)

    def _connect(self) -> psycopg.Connection:
        given: dict[str, Any] = {
            "connect_timeout": max(1, round(self._connect_seconds)),
            "client_encoding": "UTF8",
        }
        if self._password_file:
            # Read at every connection: a new password takes effect without a restart.
            given["password"] = self._password()
        connection = psycopg.connect(
            make_conninfo(**(self._options | given)),
            autocommit=True,
            # Planning takes a fraction of a millisecond, and poolers between do not get along with the rest.
            prepare_threshold=None,
        )
        try:
            # The time for connecting ended with the first answer; a server may hang after it as well.
            self._watchdog.watch(connection, self._connect_seconds)
            self._refuse_unfit(connection)
            milliseconds = str(int(self.statement_seconds * 1000))
            connection.execute(
                _SET, (milliseconds, milliseconds, str(_IDLE_IN_TRANSACTION_SECONDS * 1000), "UTC")
            )
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise
        finally:
            self._watchdog.forget(connection)
        return connection

    def _refuse_unfit(self, connection: psycopg.Connection) -> None:
        version = connection.info.server_version
        if version < _OLDEST_SERVER:
            raise Refused(f"{self.label} is PostgreSQL {version // 10000}; 13 or newer is needed")
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise Refused(f"{self.label} has the encoding {encoding}; UTF8 is needed")

    def _password(self) -> str:
        assert self._password_file is not None
        try:
            if password := self._password_file.read_text().rstrip("\n"):
                return password
            reason = "is empty"
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is not a text"
        raise Refused(f"RECOMMENDATIONS_DATABASE_PASSWORD_FILE: {self._password_file}: {reason}")

    def reading(self, *, patient: bool) -> Any:
        """Return an engine whose transactions see one state of the database throughout."""
        return self.engine.execution_options(reads=True, patient=patient)

    def writing(self, *, patient: bool) -> Any:
        """Return an engine whose transactions write; patient ones may take minutes."""
        return self.engine.execution_options(patient=patient)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Open the transaction of a migration; one that migrates at the same time is waited for."""
        with self.writing(patient=True).begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_MIGRATION_WAIT_SECONDS}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            yield connection

    def before_write(self) -> str | None:
        """Name what forbids writing; nothing does, as far as can be told without asking the server."""
        return None

    def after_forgetting(self) -> None:
        """Leave the bytes of what was deleted, which nobody sees any more, to the server's own vacuuming."""

    def close(self) -> None:
        """Close every connection that is idle now."""
        self.engine.dispose()
        self._watchdog.end()

    def should_retry(self, error: BaseException | None) -> bool:
        """Tell whether a transaction that failed may succeed at once: on another connection, or alone."""
        return postgres_errors.should_retry(error)

    def is_away(self, error: BaseException | None) -> bool:
        """Tell whether an error means that no statement can be run now, whichever."""
        return postgres_errors.is_away(error)

    def needs_new_connections(self, error: BaseException | None) -> bool:
        """Tell whether those that are open are of no use any more: lost, or to a standby by now."""
        return postgres_errors.is_away(error) or getattr(error, "sqlstate", None) == "25006"

    def trouble(self, error: BaseException | None) -> str | None:
        """Say for operators what keeps the database from being used for now; None for any other error."""
        return postgres_errors.trouble(error)

    def explain(self, error: BaseException | None) -> Exception | None:
        """Turn a driver's error into the domain's Unavailable; None where waiting does not help."""
        if postgres_errors.trouble(error) is None:
            return None
        return Unavailable("the database cannot be used right now", _RETRY_SECONDS)

    def refusal(self, error: BaseException | None) -> StorageError | None:
        """Turn what kept the database from being opened into the line that says what to do."""
        return postgres_errors.refusal(error, self.label)


def _driver(connection: Connection) -> psycopg.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _places(parts: Mapping[str, Any]) -> str:
    """Name the hosts and ports of a URL; raises StorageError for a port that is none."""
    hosts = str(parts.get("host") or parts.get("hostaddr") or "localhost").split(",")
    ports = [port or "5432" for port in str(parts.get("port") or "").split(",")]
    if wrong := [port for port in ports if not port.isdecimal() or not 0 < int(port) < 65536]:
        raise StorageError(f"the database URL has the port {wrong[0]}, which is not between 1 and 65535")
    if len(ports) == 1:
        ports *= len(hosts)
    return ", ".join(":".join(place) for place in zip(hosts, ports, strict=False))
