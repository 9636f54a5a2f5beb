"""The database of books and interactions, shared by all threads; knows neither gRPC nor who calls it."""

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.domain.books import Book
from service.domain.errors import Unavailable
from service.domain.exposures import Exposure
from service.domain.interactions import Interaction, InteractionLog
from service.storage import book_rows
from service.storage.bulk import Bulk
from service.storage.lots import joined
from service.storage.migrating import require_current
from service.storage.products import Product, product_of
from service.storage.reading import Reading
from service.storage.schema import READER_FORGOTTEN, changes, exposures, instance, interactions

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
# Between attempts at the same transaction; the first one comes at once, on a new connection.
_FIRST_PAUSE_SECONDS = 0.02
# While a database is away, one caller in this time finds out whether it is back; the others are told at once.
_PROBE_SECONDS = 0.5

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
        self._trouble: str | None = None
        self._away_until = 0.0

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
                require_current(connection, product.label)
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
        """Open a read-only transaction that sees one state; a patient one may take minutes."""
        with ExitStack() as stack:
            try:
                reading = self._begin(stack, patient=patient)
            except Unavailable as unavailable:
                if not self._product.should_retry(_driver_error(unavailable)):
                    raise
                self._away_until = 0.0
                reading = self._begin(stack, patient=patient)  # the pooled connection had died
            with self._explained():
                yield reading

    def _begin(self, stack: ExitStack, *, patient: bool) -> Reading:
        with self._explained():
            connection = stack.enter_context(self._product.reading(patient=patient).begin())
            return Reading(self._product.rows, connection)

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

        SQLite overwrites the file's bytes at once, PostgreSQL when it vacuums, which is asked of it at once.
        """

        def forget(connection: Connection) -> int:
            of_reader = interactions.c.reader_id == reader_id
            gone = connection.execute(delete(interactions).where(of_reader)).rowcount
            connection.execute(delete(exposures).where(exposures.c.reader_id == reader_id))
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
        rows = [
            {
                "recommendation_id": each.recommendation_id,
                "reader_id": each.reader_id,
                "shown_at": each.shown_at,
                "strategy": each.strategy,
                "model_version": each.model_version,
                "book_ids": json.dumps(each.book_ids),
            }
            for each in shown
        ]
        if rows:
            self._write(lambda connection: connection.execute(insert(exposures), rows))

    def prune_exposures(self, before: int) -> int:
        """Delete what was shown before a time in µs since 1970 UTC; returns how many answers that were."""
        return self._write(
            lambda connection: (
                connection.execute(delete(exposures).where(exposures.c.shown_at < before)).rowcount
            )
        )

    @contextmanager
    def bulk(self) -> Iterator[Bulk]:
        """Open one transaction for many rows: stored when the block ends well, gone when it raises.

        Other writers of this process get Unavailable meanwhile, and on SQLite those of others.
        """
        with (
            self._writing(),
            self._explained(),
            self._product.writing(patient=True).begin() as connection,
            Bulk(connection) as bulk,
        ):
            yield bulk

    def _write(self, work: Callable[[Connection], Value]) -> Value:
        """Do the work in one transaction; repeat it where that can help.

        Repeating is safe: whatever was committed although its answer was lost is found done.
        """
        deadline = time.monotonic() + self._product.statement_seconds
        pause = 0.0
        with self._writing():
            while True:
                try:
                    with self._explained(), self._product.writing(patient=False).begin() as connection:
                        done = work(connection)
                    break
                except Unavailable as unavailable:
                    retry = self._product.should_retry(_driver_error(unavailable))
                    if not retry or time.monotonic() + pause > deadline:
                        raise
                    self._away_until = 0.0  # not before this has been tried
                    time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                    pause = max(_FIRST_PAUSE_SECONDS, 2 * pause)
            if self._trouble:
                log.info("%s can be written again", self._product.label)
                self._trouble = None
            return done

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._product.statement_seconds):
            raise Unavailable("the database is busy", _RETRY_SECONDS)
        try:
            if reason := self._product.before_write():
                self._tell(reason)
                raise Unavailable("the database cannot be used right now", 30.0)
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        self._refuse_while_away()
        try:
            yield
        except PoolTimeoutError:
            raise Unavailable("the database is busy", _RETRY_SECONDS) from None
        except Exception as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if reason := self._product.trouble(cause):
                self._tell(reason)
                # What was opened read-only stays so: once somebody has mended it, the next call finds out.
                self._product.engine.dispose()
            if self._product.is_away(cause):
                self._away_until = time.monotonic() + _PROBE_SECONDS
            explained = self._product.explain(cause)
            if explained is None:
                raise
            raise explained from error
        else:
            self._away_until = 0.0

    def _refuse_while_away(self) -> None:
        # Else every caller would wait for a server that hangs.
        now = time.monotonic()
        if now < self._away_until:
            raise Unavailable("the database cannot be used right now", _RETRY_SECONDS)
        if self._away_until:
            self._away_until = now + self._product.statement_seconds  # this caller finds out for all

    def _tell(self, reason: str) -> None:
        # Once for each kind of trouble: every refused write would say the same.
        if reason != self._trouble:
            self._trouble = reason
            log.error("%s %s", self._product.label, reason)


def _driver_error(unavailable: Unavailable) -> BaseException | None:
    cause = unavailable.__cause__
    return cause.orig if isinstance(cause, DBAPIError) else cause
