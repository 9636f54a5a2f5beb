"""The database of books and interactions, shared by all threads; knows neither gRPC nor who calls it."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DBAPIError

from service.domain.books import Book
from service.domain.errors import Unavailable
from service.domain.exposures import Exposure
from service.domain.interactions import Interaction, InteractionLog
from service.storage import book_rows, exposure_rows
from service.storage.availability import Availability
from service.storage.bulk import Bulk
from service.storage.lots import joined
from service.storage.migrating import require_current
from service.storage.products import Product, product_of
from service.storage.reading import Reading
from service.storage.schema import READER_FORGOTTEN, changes, exposures, instance, interactions

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_MEND_SECONDS = 30.0

Value = TypeVar("Value")


class Counts(NamedTuple):
    """How much a database holds."""

    books: int
    interactions: int


class Database:
    """An open database; many may read at once, writers take turns.

    Reads and writes raise StorageError where the database is damaged, and the domain's Unavailable where
    asking again makes sense: another writer holds it, it is away or read-only, its disk is full. What failed
    left nothing behind, but for a commit whose answer was lost: all writes can be repeated.
    """

    def __init__(self, product: Product, identity: str) -> None:
        self._product = product
        self.identity = identity  # of the data, the same for its backups and standbys
        # SQLite lets one writer in, and so do we: waiting here is fair and costs no polling.
        self._turn = threading.Lock()
        self._availability = Availability(product)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        password_file: Path | None = None,
        pool_size: int = 4,
        connect_seconds: float = 5.0,
        statement_seconds: float = 5.0,
    ) -> "Database":
        """Open a database that has this release's schema.

        Raises DatabaseAway where it cannot be reached now, StorageError where it cannot be used as it is,
        each in one line. The options are PostgreSQL's.
        """
        product = product_of(
            url,
            password_file=password_file,
            pool_size=pool_size,
            connect_seconds=connect_seconds,
            statement_seconds=statement_seconds,
        )
        try:
            with product.reading(patient=False).begin() as connection:
                require_current(connection, product.label, product.rows)
                return cls(product, connection.scalar(select(instance.c.id)) or "")
        except DBAPIError as error:
            product.close()
            raise product.refusal(error.orig) or error from error
        except BaseException as error:
            product.close()
            raise product.refusal(error) or error from error

    def close(self) -> None:
        """Close every connection that is idle now."""
        self._product.close()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    @contextmanager
    def reading(self, *, patient: bool = False) -> Iterator[Reading]:
        """Open a read-only transaction that sees one state.

        From one statement to the next may take statement_seconds. From where it streams or counts, a patient
        one from the beginning, it may take as long as the server is sound.
        """
        with self._availability.using(), ExitStack() as stack:

            def begin() -> Reading:
                with ExitStack() as beginning:
                    engine = self._product.reading(patient=patient)
                    reading = Reading(self._product.rows, beginning.enter_context(engine.begin()))
                    stack.push(beginning.pop_all())
                return reading

            yield self._availability.attempt(begin, writes=False)

    def books(self) -> Iterator[Book]:
        """Read all books by ascending id, as they stand when the first is read."""
        with self.reading(patient=True) as reading:
            yield from reading.books()

    def interactions(self) -> InteractionLog:
        """Read all interactions in the order in which they were stored."""
        with self.reading(patient=True) as reading:
            return joined(reading.interactions())

    def counts(self) -> Counts:
        """Count books and interactions."""
        with self.reading(patient=True) as reading:
            return Counts(reading.book_count(), reading.interaction_count())

    # Writing

    def upsert_books(self, added: Sequence[Book]) -> tuple[int, int]:
        """Store books, all or none; returns how many were new and how many replaced one of the same id."""
        return self._write(lambda connection: book_rows.upsert(connection, added))

    def delete_books(self, ids: Sequence[int]) -> int:
        """Delete the books of these ids, all or none; returns how many there were. Interactions stay."""
        return self._write(lambda connection: book_rows.remove(connection, ids))

    def record(self, added: Sequence[Interaction]) -> list[int]:
        """Store interactions, all or none, on the disk by the time this returns.

        Returns, for each, the sequence number of one that is new; 0 where its id was stored before or earlier
        in the batch.
        """
        if not added:
            return []
        new = self._write(lambda connection: self._product.rows.record(connection, added))
        return [new.pop(each.interaction_id, 0) for each in added]

    def forget_reader(self, reader_id: int) -> int:
        """Delete all interactions of a reader and what they were shown; returns how many interactions.

        The reader's number stays in the list of changes until `prune_changes`, so that mirrors and other
        processes forget too. SQLite overwrites the file's bytes at once. In PostgreSQL nobody sees the rows
        any more at once; their bytes go when the server's own vacuuming has freed them and others come there.
        """

        def forget(connection: Connection) -> int:
            of_reader = interactions.c.reader_id == reader_id
            gone = connection.execute(delete(interactions).where(of_reader)).rowcount
            connection.execute(insert(changes), {"kind": READER_FORGOTTEN, "key": reader_id})
            return gone

        gone = self._write(forget)
        try:
            self._product.after_forgetting()
        except Exception:  # the reader is gone all the same; the next time takes the bytes
            log.warning(
                "%s: the bytes of deleted rows could not be cleared", self._product.label, exc_info=True
            )
        return gone

    def record_exposures(self, shown: Sequence[Exposure]) -> None:
        """Store answers that were shown; one that is there already stays as it is."""
        if shown:
            self._write(lambda connection: exposure_rows.record(connection, shown))

    def prune_exposures(self, before: int) -> int:
        """Delete what was shown before a time in µs since 1970 UTC; returns how many answers that were."""
        return self._write(
            lambda connection: (
                connection.execute(delete(exposures).where(exposures.c.shown_at < before)).rowcount
            )
        )

    def prune_changes(self, before: int) -> int:
        """Delete what followers were told before a time in µs since 1970 UTC; returns how many changes.

        With them go the numbers of readers who were forgotten then. A mark from before that is refused by
        `Reading.news`: keep changes for longer than mirrors, and replicas that are cut off, may get old.
        """
        return self._write(lambda connection: self._product.rows.prune_changes(connection, before))

    @contextmanager
    def bulk(self) -> Iterator[Bulk]:
        """Open one transaction for many rows: stored when the block ends well, gone when it raises.

        Other writers of this process get Unavailable meanwhile, and on SQLite those of others.
        """
        with (
            self._writing(),
            self._availability.using(),
            self._product.writing(patient=True).begin() as connection,
            Bulk(connection) as bulk,
        ):
            yield bulk

    def _write(self, work: Callable[[Connection], Value]) -> Value:
        """Do the work in one transaction; all of it is safe to repeat.

        Deleting and replacing come to the same a second time, and what is stored bears an id that is stored
        once. Only counts may then tell of the second time: rows that the first one stored are known already.
        """

        def transact() -> Value:
            with self._product.writing(patient=False).begin() as connection:
                return work(connection)

        with self._writing():
            return self._availability.attempt(transact, writes=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._product.statement_seconds):
            raise Unavailable("the database is busy", _RETRY_SECONDS)
        try:
            if reason := self._product.before_write():
                self._availability.tell(reason)
                raise Unavailable("the database cannot be used right now", _MEND_SECONDS)
            yield
        finally:
            self._turn.release()
