"""Brings into memory what other processes stored in the database; knows no protobuf.

A look reads what became visible since the look before, so nothing is skipped that commits late. What this
process stored itself is in memory already and is passed over.
"""

import logging
import threading
import time
from contextlib import ExitStack
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge

from service.domain.errors import Unavailable
from service.domain.recommender import Recommender
from service.journal_records import JournalError
from service.ledger import Ledger
from service.operations.conditions import Conditions
from service.storage import Database, News, Reading, StorageError

DATABASE = "database"  # the advisory condition that the database answers

# A look at a healthy database takes milliseconds; at a hanging one as long as its statements may.
_JOIN_SECONDS = 10.0

_log = logging.getLogger("recommendations.following")


class Shop(NamedTuple):
    """A recommender and what of the database it has seen."""

    recommender: Recommender
    mark: str


def catch_up(database: Database, recommender: Recommender, mark: str) -> str:
    """Learn all that was stored since a mark, where nobody else writes; return the new mark."""
    with database.reading() as reading:
        news = reading.news(mark)
        _learn_changes(news, reading, recommender)
        for lot in news.interactions():
            recommender.learn_log(lot.log)
        return reading.mark


def _learn_changes(news: News, latest: Reading, recommender: Recommender) -> None:
    """Take books and forgotten readers over as they are in the latest reading."""
    books = {book.id: book for book in latest.books_of(news.changed_book_ids)}
    catalogue = recommender.catalogue
    # Own changes come by here too: what is there already must not make answers anew.
    changed = [book for book in books.values() if book.id not in catalogue or catalogue.book(book.id) != book]
    gone = [each for each in news.changed_book_ids if each not in books and each in catalogue]
    if changed:
        recommender.upsert_books(changed)
    if gone:
        recommender.delete_books(gone)
    for reader_id in news.forgotten_reader_ids:
        # Not simply forgotten: they may have come back.
        recommender.replace_reader(reader_id, latest.interactions_of(reader_id))


class Follower:
    """A thread that follows the database into a recommender; a context manager that ends it."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        shop: Shop,
        conditions: Conditions,
        seconds: float,
        registry: CollectorRegistry,
    ) -> None:
        """Prepare to follow from the shop's mark on, with pauses of so many seconds."""
        self._database, self._ledger = database, ledger
        self._recommender, self._mark = shop
        self._conditions, self._seconds = conditions, seconds
        # What a look that broke off has learned already; the next one reads it again.
        self._learned: list[NDArray[np.int64]] = []
        self._renewed: Shop | None = None
        self._seen_at = time.monotonic()
        self._followed = Counter(
            "recommendations_followed_interactions",
            "Interactions learned that other processes stored.",
            registry=registry,
        )
        Gauge(
            "recommendations_follow_lag_seconds",
            "Time since the last look at the database: what others stored since is not in memory.",
            registry=registry,
        ).set_function(lambda: time.monotonic() - self._seen_at)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def __enter__(self) -> Self:
        self._ledger.note_mark(self._mark)
        self._is_back()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def renew(self, shop: Shop) -> None:
        """Put another state of the same database in place at the next look, brought up to date."""
        self._renewed = shop

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._look()
                if self._renewed is not None:
                    self._take_over(self._renewed)
                    self._renewed = None
                self._is_back()
            except (Unavailable, StorageError, JournalError) as error:
                self._is_away(str(error))
            except Exception:  # noqa: BLE001 - without this thread others' interactions would never be seen again
                _log.exception("following the database failed")
                self._is_away("following it failed; see the log")

    def _look(self) -> None:
        with ExitStack() as stack:
            # No write of our own is then between its commit and the note that it is ours.
            with self._ledger.turn():
                reading = stack.enter_context(self._database.reading())
                self._ledger.settle(reading)
            began = time.monotonic()
            news = reading.news(self._mark)
            if news.changed_book_ids or news.forgotten_reader_ids:
                # Read once more, while nothing is written here: an own write since the look began must not
                # be taken back.
                with self._ledger.turn(), self._database.reading() as latest:
                    _learn_changes(news, latest, self._recommender)
            for sequences, log in news.interactions():
                own = self._ledger.take_own(sequences)
                for learned in self._learned:
                    own |= np.isin(sequences, learned)
                self._learned.append(sequences)
                if not own.all():
                    self._recommender.learn_log(log.take(~own))
                    self._followed.inc(int(np.count_nonzero(~own)))
            self._mark = reading.mark
            self._ledger.note_mark(self._mark)
            self._learned.clear()
            self._seen_at = began

    def _take_over(self, shop: Shop) -> None:
        # Twice: the first time takes as long as there is much, the second holds writers up for a moment.
        mark = catch_up(self._database, *shop)
        with self._ledger.turn():
            self._mark = catch_up(self._database, shop.recommender, mark)
            self._recommender.adopt(shop.recommender)
            # All of them were read from the database just now.
            self._ledger.forget_own()

    def _is_away(self, reason: str) -> None:
        self._ledger.database_is(away=True)
        self._recommender.stale = True
        self._conditions.set(DATABASE, False, reason)

    def _is_back(self) -> None:
        self._ledger.database_is(away=False)
        self._recommender.stale = False
        self._conditions.set(DATABASE, True)
