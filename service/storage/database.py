"""The database of books and interactions, shared by all threads; knows neither gRPC nor who calls it."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.domain.books import Book
from service.domain.errors import Unavailable
from service.domain.interactions import Interaction, InteractionLog
from service.storage import book_rows, interaction_rows, sqlite
from service.storage.address import file_of
from service.storage.bulk import Bulk
from service.storage.errors import StorageError
from service.storage.migrating import require_current
from service.storage.schema import books, interactions

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


class Counts(NamedTuple):
    """How much a database holds."""

    books: int
    interactions: int


class Database:
    """An open database; many may read at once, writers take turns.

    Reads and writes raise StorageError where the database is damaged, and the domain's Unavailable where
    asking again makes sense: another writer holds it, it is read-only, its disk is full. What failed left
    nothing behind.
    """

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine, self._path = engine, path
        self._writes = engine.execution_options(writes=True)
        # SQLite lets one writer in; waiting here is fair and costs no polling.
        self._turn = threading.Lock()
        self._file = _identity(path)
        self._trouble: str | None = None

    @classmethod
    def open(cls, url: str) -> "Database":
        """Open a database that has this release's schema; raises StorageError, one line, for any other."""
        path = file_of(url)
        if path.is_dir():
            raise StorageError(f"database {path} is a folder, not a file")
        if not path.exists():
            raise StorageError(f"database {path} does not exist; run `recommendations migrate` to make it")
        engine = sqlite.engine_for(path, create=False)
        try:
            with engine.begin() as connection:
                require_current(connection, path)
            return cls(engine, path)
        except DBAPIError as error:
            engine.dispose()
            if reason := sqlite.is_unwritable(error.orig):
                raise StorageError(f"database {path} {reason}") from error
            raise sqlite.explain(error.orig, path) or error from error
        except BaseException:
            engine.dispose()
            raise

    def close(self) -> None:
        """Close every connection that is idle now; the last one folds SQLite's log into the file."""
        self._engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def books(self) -> Iterator[Book]:
        """Read all books by ascending id, as they stand when the first is read."""
        with self._explained(), self._engine.begin() as connection:
            yield from book_rows.stored(connection)

    def interactions(self) -> InteractionLog:
        """Read all interactions in the order in which they were stored."""
        with self._explained(), self._engine.begin() as connection:
            return interaction_rows.stored(connection)

    def counts(self) -> Counts:
        """Count books and interactions."""
        with self._explained(), self._engine.begin() as connection:
            return Counts(*(connection.scalar(select(func.count()).select_from(t)) or 0 for t in _COUNTED))

    def upsert_books(self, added: Sequence[Book]) -> tuple[int, int]:
        """Store books, all or none; returns how many were new and how many replaced one of the same id."""
        with self._writing() as connection:
            return book_rows.upsert(connection, added)

    def delete_books(self, ids: Sequence[int]) -> int:
        """Delete the books of these ids, all or none; returns how many there were. Interactions stay."""
        gone = 0
        with self._writing() as connection:
            for start in range(0, len(ids), book_rows.IDS_A_STATEMENT):
                some = ids[start : start + book_rows.IDS_A_STATEMENT]
                gone += connection.execute(delete(books).where(books.c.id.in_(some))).rowcount
        return gone

    def record(self, added: Sequence[Interaction]) -> list[bool]:
        """Store interactions, all or none, on the disk by the time this returns.

        Returns, for each, True where it is new; False where its id was stored before or earlier in the batch.
        """
        with self._writing() as connection:
            return interaction_rows.record(connection, added)

    def forget_reader(self, reader_id: int) -> int:
        """Delete all interactions of a reader, out of the file's bytes too; returns how many there were."""
        with self._writing() as connection:
            gone = connection.execute(
                delete(interactions).where(interactions.c.reader_id == reader_id)
            ).rowcount
        try:
            with self._engine.connect() as connection:
                sqlite.fold_log(connection)
        except Exception:  # the reader is gone all the same; the next fold takes the bytes
            log.warning("database %s: its log could not be folded in", self._path, exc_info=True)
        return gone

    @contextmanager
    def bulk(self) -> Iterator[Bulk]:
        """Open one transaction for many rows: stored when the block ends well, gone when it raises.

        Other writers get Unavailable meanwhile, also in this process.
        """
        with self._writing() as connection, Bulk(connection) as bulk:
            yield bulk

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if not self._turn.acquire(timeout=sqlite.BUSY_SECONDS):
            raise Unavailable("the database is busy", _RETRY_SECONDS)
        try:
            with self._explained():
                self._refuse_replaced_file()
                with self._writes.begin() as connection:
                    yield connection
            if self._trouble:
                log.info("database %s can be written again", self._path)
                self._trouble = None
        finally:
            self._turn.release()

    def _refuse_replaced_file(self) -> None:
        # A file that was deleted or moved away under us still takes writes, and they would vanish with us.
        if _identity(self._path) != self._file:
            self._tell("is not the file that was opened any more; restart the service")
            raise Unavailable("the database cannot be used right now", 30.0)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeoutError:
            raise Unavailable("the database is busy", _RETRY_SECONDS) from None
        except Exception as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if reason := sqlite.is_unwritable(cause):
                self._tell(reason)
                # What was opened read-only stays so: once somebody has mended it, the next call finds out.
                self._engine.dispose()
            explained = sqlite.explain(cause, self._path)
            if explained is None:
                raise
            raise explained from error

    def _tell(self, reason: str) -> None:
        # Once for each kind of trouble: every refused write would say the same.
        if reason != self._trouble:
            self._trouble = reason
            log.error("database %s %s", self._path, reason)


_COUNTED = (books, interactions)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
