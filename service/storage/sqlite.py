"""All that is peculiar to SQLite: opening a file, its settings, what its error codes mean.

Knows no tables.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from service.domain.errors import Unavailable
from service.storage import sqlite_rows
from service.storage.errors import StorageError

log = logging.getLogger(__name__)

# How long a call waits while another writes: a batch takes milliseconds, an import's one transaction takes
# minutes, and a caller of the API is better told to come back than held.
BUSY_SECONDS = 2.0

# A migration waits for another one, or for an import to end: whoever starts it has time.
_MIGRATION_BUSY_SECONDS = 60.0

# Handler threads hold a connection for milliseconds; a training run or an export holds one for long.
_POOL = {"pool_size": 4, "max_overflow": 12, "pool_timeout": BUSY_SECONDS}

# By primary result code: what operators read, and after how many seconds a caller does well to ask again.
# Waiting writers go within seconds; space, rights and broken disks need an operator.
_PASSING = {
    sqlite3.SQLITE_BUSY: ("is locked by another writer", 1.0),
    sqlite3.SQLITE_LOCKED: ("is locked by another writer", 1.0),
    sqlite3.SQLITE_READONLY: ("is read-only for this process; give it write access to file and folder", 30.0),
    sqlite3.SQLITE_PERM: ("is refused by the file system; give this process access to file and folder", 30.0),
    sqlite3.SQLITE_FULL: ("has no space left on its disk; make room", 30.0),
    sqlite3.SQLITE_IOERR: ("fails to be read or written; look at its disk", 30.0),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened; look at the rights and the space of its folder", 30.0),
}
_BROKEN = {
    sqlite3.SQLITE_NOTADB: "is not a SQLite database; move it away, then restore a backup or run"
    " `recommendations migrate` for a new one",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore a backup, or save what is left with `sqlite3 FILE .recover`",
}


class Sqlite:
    """A SQLite file as storage uses one."""

    rows = sqlite_rows
    statement_seconds = BUSY_SECONDS

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Prepare; raises StorageError for what is no file."""
        if path.is_dir():
            raise StorageError(f"database {path} is a folder, not a file")
        if create and not path.parent.is_dir():
            raise StorageError(f"database {path}: there is no folder {path.parent}; make it first")
        if not create and not path.exists():
            raise StorageError(f"database {path} does not exist; run `recommendations migrate` to make it")
        self._path = path
        self.label = f"database {path}"
        self.engine = engine_for(path, create=create)
        self._writes = self.engine.execution_options(writes=True)
        self._file = _identity(path)

    def reading(self, *, patient: bool) -> Engine:
        """Return an engine whose transactions see one state of the database throughout."""
        return self.engine

    def writing(self, *, patient: bool) -> Any:
        """Return an engine whose transactions write."""
        return self._writes

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Open the transaction of a migration; one that migrates at the same time is waited for."""
        with self._writes.begin() as connection:
            yield connection

    def before_write(self) -> str | None:
        """Name what forbids writing, if anything does."""
        # A file that was deleted or moved away under us still takes writes, and they would vanish with us.
        if self._file != _identity(self._path):
            return "is not the file that was opened any more; restart the service"
        return None

    def after_forgetting(self) -> None:
        """Take the bytes of what was deleted off the disk: fold the write-ahead log into the file."""
        with self.engine.connect() as connection:
            fold_log(connection)

    def close(self) -> None:
        """Close every connection that is idle now; the last one folds SQLite's log into the file."""
        self.engine.dispose()

    def should_retry(self, error: BaseException | None) -> bool:
        """Tell whether a transaction that failed may succeed at once: SQLite has waited already."""
        return False

    def is_away(self, error: BaseException | None) -> bool:
        """Tell whether an error means that no statement can be run now: a file answers at once."""
        return False

    def needs_new_connections(self, error: BaseException | None) -> bool:
        """Tell whether those that are open are of no use any more: opened read-only, they stay so."""
        return is_unwritable(error) is not None

    def trouble(self, error: BaseException | None) -> str | None:
        """Say for operators what keeps the database from being used for now; None for any other error."""
        return is_unwritable(error)

    def explain(self, error: BaseException | None) -> Exception | None:
        """Turn a driver's error into a StorageError or the domain's Unavailable; None where it is neither."""
        return explain(error, self._path)

    def refusal(self, error: BaseException | None) -> StorageError | None:
        """Turn what kept the database from being opened into the line that says what to do."""
        if reason := is_unwritable(error):
            return StorageError(f"{self.label} {reason}")
        explained = explain(error, self._path)
        return explained if isinstance(explained, StorageError) else None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def engine_for(path: Path, *, create: bool) -> Engine:
    """Make an engine for a database file, which only `create` may bring into being.

    Transactions begin as reads, or at once as the one write where the execution option `writes` is set, so
    that a writer waits at its beginning and never has to give up what it has read.
    """

    def connect() -> sqlite3.Connection:
        if create:
            connection = _connect(path, "mode=rwc", _MIGRATION_BUSY_SECONDS)
        else:
            connection = _connect(path, "mode=rw", BUSY_SECONDS)
        try:
            # Acknowledged means on the disk: in WAL mode only FULL waits for it at every commit.
            connection.execute("PRAGMA synchronous=FULL")
            # A damaged page is named as damage where it is read, not met later as absurd sizes.
            connection.execute("PRAGMA cell_size_check=ON")
            # What is forgotten is overwritten, not only unlinked.
            connection.execute("PRAGMA secure_delete=ON")
            if create:
                _use_write_ahead_log(connection)
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            if not _only_lacks_shared_memory(error, path):
                raise
            log.warning("database %s: its folder is read-only; it is read as it is now", path)
            return _connect(path, "immutable=1", BUSY_SECONDS)
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine(
        # Errors end up in logs and spans, where no reader's doings belong.
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        hide_parameters=True,
        **_POOL,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _connect(path: Path, options: str, busy_seconds: float) -> sqlite3.Connection:
    # The driver's own implicit transactions are off (isolation_level): `begin` above says when they start.
    # The pool gives a connection to one thread at a time, though not always to the one that made it.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    # Alone among statements, this one does not wait for another that does the same.
    deadline = time.monotonic() + _MIGRATION_BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _only_lacks_shared_memory(error: sqlite3.OperationalError, path: Path) -> bool:
    """Tell whether a sound file in a read-only folder is only missing the -shm that WAL mode wants beside it.

    A -wal there would hold changes that reading the file alone would miss.
    """
    return (
        error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        and _may(path, os.R_OK)
        and not _may(path.parent, os.W_OK)
        and not path.with_name(path.name + "-wal").exists()
    )


def _may(path: Path, right: int) -> bool:
    return os.access(path, right, effective_ids=os.access in os.supports_effective_ids)


def explain(error: BaseException | None, path: Path) -> Exception | None:
    """Turn a driver's error into a StorageError or the domain's Unavailable; None where it is neither.

    The Unavailable is for callers and names nothing internal; `is_unwritable` has the operator's sentence.
    """
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BROKEN:
        return StorageError(f"database {path} {_BROKEN[code]}")
    if code in _PASSING:
        return Unavailable("the database cannot be used right now", _PASSING[code][1])
    return None


def is_unwritable(error: BaseException | None) -> str | None:
    """Say for operators what keeps a database from being used for now; None for any other error."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return f"{_PASSING[code][0]} ({error})" if code in _PASSING else None


def fold_log(connection: Connection) -> None:
    """Move the write-ahead log into the file and empty it, unless someone still reads from it."""
    # By the driver, because a checkpoint cannot run in a transaction and SQLAlchemy would begin one.
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def set_cache(connection: sqlite3.Connection, mebibytes: int) -> None:
    """Let a connection keep this much of the file in memory."""
    connection.execute(f"PRAGMA cache_size=-{mebibytes * 1024:d}")
