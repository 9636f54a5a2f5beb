"""Applies every change to the database first and to memory after, one at a time; knows no protobuf.

Memory never holds what the database does not: a change that fails there is not made here. The order matters
as well: a reader who is forgotten while their interaction is being stored must not come back in memory.
"""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.errors import Unavailable
from service.domain.interactions import Interaction
from service.domain.recommender import Recommender
from service.journal import Journal

# Longer than any single write takes; a caller behind this many others is better told to come again.
_LONGEST_WAIT_SECONDS = 5.0
_RETRY_SECONDS = 1.0
# One transaction of so many takes about half a second, and what waits for it is as many again.
_MOST_A_GROUP = 20_000
_MOST_WAITING = 40_000


class Store(Protocol):
    """What the ledger needs of a database; each call is durable when it returns."""

    def record(self, interactions: Sequence[Interaction]) -> list[int]: ...
    def forget_reader(self, reader_id: int) -> int: ...
    def upsert_books(self, books: Sequence[Book]) -> tuple[int, int]: ...
    def delete_books(self, ids: Sequence[int]) -> int: ...


class _Batch:
    """What one caller wants stored, and what became of it."""

    def __init__(self, interactions: Sequence[Interaction]) -> None:
        self.interactions = interactions
        self.new_count: int | None = None
        self.error: BaseException | None = None
        self.done = threading.Event()


class Ledger:
    """The only writer of a running service. Methods raise Unavailable where the store cannot be written.

    Batches that come while another transaction is under way are stored together in the next one, by one of
    their callers: the disk is waited for once for all of them.
    """

    def __init__(self, store: Store, recommender: Recommender, journal: Journal | None = None) -> None:
        """Write to the store, and while it is away to the journal, where there is one."""
        self._store, self._recommender, self._journal = store, recommender, journal
        self._turn = threading.Lock()
        self._gate = threading.Lock()
        self._waiting: list[_Batch] = []
        self._waiting_count = 0
        self._own: set[int] = set()
        self.journaled_count = self.replayed_count = 0
        self._is_away = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep every write out of the block; raises Unavailable where that takes too long."""
        if not self._turn.acquire(timeout=_LONGEST_WAIT_SECONDS):
            raise Unavailable("too many changes are waiting to be stored", _RETRY_SECONDS)
        try:
            yield
        finally:
            self._turn.release()

    def database_is(self, *, away: bool) -> None:
        """Say whether the database answers; while it does not, callers are told at once.

        Once it does again, what is in the journal is stored before anything new; raises Unavailable where
        that fails.
        """
        if away or self._journal is None:
            self._is_away = away
            return
        while True:
            # One group a turn: writers in between append to the journal, behind what came before.
            with self.turn():
                self.replayed_count += self._journal.take(self._store_group_of)
                if self._journal.is_empty:
                    self._is_away = False
                    return

    def _store_group_of(self, group: Sequence[Interaction]) -> None:
        # Memory knows them already.
        self._own.update(filter(None, self._store.record(group)))

    def take_own(self, sequences: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which of these rows this process has stored, each row once: it is forgotten then."""
        own = np.array([each in self._own for each in sequences.tolist()], dtype=bool)
        self._own.difference_update(sequences[own].tolist())
        return own

    def forget_own(self) -> None:
        """Forget which rows are this process's own."""
        self._own.clear()

    def record(self, interactions: Sequence[Interaction]) -> int:
        """Store interactions, all or none; return how many were new."""
        if self._journal is None:
            self._refuse_while_away()
        batch = _Batch(interactions)
        with self._gate:
            if self._waiting_count + len(interactions) > _MOST_WAITING:
                raise Unavailable("too many changes are waiting to be stored", _RETRY_SECONDS)
            self._waiting.append(batch)
            self._waiting_count += len(interactions)
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        # Whoever has the turn stores for all who wait by then; the others find theirs done.
        while not batch.done.is_set():
            if self._turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
                try:
                    if not batch.done.is_set():
                        self._store_group()
                finally:
                    self._turn.release()
            elif self._withdraw(batch):
                raise Unavailable("too many changes are waiting to be stored", _RETRY_SECONDS)
            else:
                batch.done.wait()  # it is being stored: the store's own limits bound this
        if batch.error is not None:
            raise batch.error
        assert batch.new_count is not None
        return batch.new_count

    def _withdraw(self, batch: _Batch) -> bool:
        with self._gate:
            if batch not in self._waiting:
                return False
            self._waiting.remove(batch)
            self._waiting_count -= len(batch.interactions)
            return True

    def _store_group(self) -> None:
        group = self._next_group()
        try:
            self._store_together(group)
        except Exception as error:  # noqa: BLE001 - told to whom it concerns
            for batch in group:
                if len(group) > 1 and not isinstance(error, Unavailable):
                    # What is wrong with one batch is not the others' concern.
                    try:
                        self._store_together([batch])
                    except Exception as own_error:  # noqa: BLE001
                        batch.error = own_error
                else:
                    batch.error = error
        finally:
            for batch in group:
                batch.done.set()

    def _next_group(self) -> list[_Batch]:
        with self._gate:
            count = taken = 0
            for batch in self._waiting:
                if taken and count + len(batch.interactions) > _MOST_A_GROUP:
                    break
                count += len(batch.interactions)
                taken += 1
            group, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._waiting_count -= count
        return group

    def _store_together(self, group: Sequence[_Batch]) -> None:
        together = [each for batch in group for each in batch.interactions]
        new = self._kept(together)
        self._recommender.learn(list(itertools.compress(together, new)))
        start = 0
        for batch in group:
            end = start + len(batch.interactions)
            batch.new_count = sum(new[start:end])
            start = end

    def _kept(self, together: Sequence[Interaction]) -> list[bool]:
        """Put interactions where they last; tell of each whether it is new."""
        journal = self._journal
        if journal is None or (journal.is_empty and not self._is_away):
            try:
                sequences = self._store.record(together)
            except Unavailable:
                if journal is None:
                    raise
                self._is_away = True  # until whoever follows the database finds it back
            else:
                self._own.update(filter(None, sequences))
                return [sequence > 0 for sequence in sequences]
        assert journal is not None
        # What the database has already is not known here; it is counted as new, and stored once.
        new = journal.new_among(together)
        journal.append(list(itertools.compress(together, new)))
        self.journaled_count += sum(new)
        return new

    def forget_reader(self, reader_id: int) -> int:
        """Delete everything of a reader; return how many interactions that were."""
        with self._writing():
            if self._journal is not None and not self._journal.is_empty:
                # What the journal holds of the reader would come after.
                raise Unavailable("the database is catching up with the journal", _RETRY_SECONDS)
            deleted = self._store.forget_reader(reader_id)
            self._recommender.forget(reader_id)
        return deleted

    def upsert_books(self, books: Sequence[Book]) -> tuple[int, int]:
        """Add books or replace those of the same id; return how many were new and how many replaced."""
        with self._writing():
            counts = self._store.upsert_books(books)
            self._recommender.upsert_books(books)
        return counts

    def delete_books(self, book_ids: Sequence[int]) -> int:
        """Delete books; return how many there were."""
        with self._writing():
            deleted = self._store.delete_books(book_ids)
            self._recommender.delete_books(book_ids)
        return deleted

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._refuse_while_away()
        with self.turn():
            yield

    def _refuse_while_away(self) -> None:
        if self._is_away:
            raise Unavailable("the database cannot be used right now", _RETRY_SECONDS)
