"""Applies every change to the database first and to memory after, one at a time; knows no protobuf.

Memory never holds what the database does not: a change that fails there is not made here. The order matters
as well: a reader who is forgotten while their interaction is being stored must not come back in memory.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.errors import Unavailable
from service.domain.interactions import Interaction
from service.domain.recommender import Recommender
from service.groups import Groups, Turns
from service.journal import Journal
from service.journal_records import Record
from service.replaying import replay
from service.storage import Reading

_RETRY_SECONDS = 1.0


class Store(Protocol):
    """What the ledger needs of a database; each call is durable when it returns."""

    def record(self, interactions: Sequence[Interaction]) -> list[int]: ...
    def forget_reader(self, reader_id: int) -> int: ...
    def upsert_books(self, books: Sequence[Book]) -> tuple[int, int]: ...
    def delete_books(self, ids: Sequence[int]) -> int: ...
    def reading(self) -> AbstractContextManager[Reading]: ...


class Ledger:
    """The only writer of a running service. Methods raise Unavailable where the store cannot be written.

    Batches that come while another transaction is under way are stored together in the next one: the disk is
    waited for once for all.
    """

    def __init__(self, store: Store, recommender: Recommender, journal: Journal | None = None) -> None:
        """Write to the store, and while it is away to the journal, where there is one."""
        self._store, self._recommender, self._journal = store, recommender, journal
        self._turns = Turns()
        self._groups = Groups(self._turns, self._store_together)
        self._own: set[int] = set()
        self._doubtful: list[str] = []  # interactions that are in the journal, and perhaps in the database
        self.group_count = self.journaled_count = self.replayed_count = 0
        self._is_away = False

    @property
    def waiting_count(self) -> int:
        """Count the batches of interactions that wait to be stored."""
        return len(self._groups)

    def turn(self) -> AbstractContextManager[None]:
        """Keep every write out of a block; raises Unavailable where that takes too long."""
        return self._turns.turn()

    # The database, as whoever follows it sees it

    def database_is(self, *, away: bool) -> None:
        """Say whether the database answers; while it does not, callers are told at once.

        Once it does again, what is in the journal is stored before anything new; raises Unavailable where
        that fails.
        """
        if away or self._journal is None or not self._is_behind:
            self._is_away = away
            return
        while self._is_behind:
            # A lot a turn: writers in between append to the journal, behind what came before.
            with self.turn():
                self._journal.take(self._replay)
                if self._journal.is_empty:
                    self._is_away = False
                    self._doubtful.clear()

    @property
    def _is_behind(self) -> bool:
        """Whether the database lacks what memory has, or may lack it."""
        return self._is_away or not (self._journal is None or self._journal.is_empty)

    def _replay(self, lot: Sequence[Record]) -> None:
        # Memory knows them already.
        replayed = replay(self._store, lot)
        self._own.update(filter(None, replayed.sequences))
        self.replayed_count += len(replayed.interactions)
        if not all(replayed.sequences):
            with self._store.reading() as reading:
                self.settle(reading)

    def settle(self, reading: Reading) -> None:
        """Find out which interactions are stored although the database's answer was lost.

        They are in the journal as well, and in memory: whoever follows the database passes over them.
        """
        if self._doubtful:
            self._own.update(reading.sequences_of(self._doubtful))

    def note_mark(self, mark: str) -> None:
        """Note up to where the database has been followed: who is forgotten after it is not brought back."""
        if self._journal is not None:
            self._journal.mark = mark

    def take_own(self, sequences: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which of these rows this process has stored, each row once: it is forgotten then."""
        own = np.array([each in self._own for each in sequences.tolist()], dtype=bool)
        self._own.difference_update(sequences[own].tolist())
        return own

    def forget_own(self) -> None:
        """Forget which rows are this process's own."""
        self._own.clear()

    # Interactions

    def record(self, interactions: Sequence[Interaction]) -> list[bool]:
        """Store interactions, all or none; tell of each whether it was new."""
        if self._journal is None:
            self._refuse_while_away()
        return self._groups.record(interactions)

    def _store_together(self, together: Sequence[Interaction]) -> list[bool]:
        new, sequences = self._kept(together)
        self.group_count += 1
        self._recommender.learn(list(itertools.compress(together, new)))
        # Only now: what could not be learned here is learned by following.
        self._own.update(filter(None, sequences))
        return new

    def _kept(self, together: Sequence[Interaction]) -> tuple[list[bool], list[int]]:
        """Put interactions where they last; tell of each whether it is new, and its number or 0."""
        journal, is_doubtful = self._journal, False
        if journal is None or not self._is_behind:
            try:
                sequences = self._store.record(together)
            except Unavailable:
                if journal is None:
                    raise
                self._is_away = is_doubtful = True  # until whoever follows the database finds it back
            else:
                return [sequence > 0 for sequence in sequences], sequences
        assert journal is not None
        # What the database has already is not known here; it is counted as new, and stored once.
        new = journal.new_among(together)
        journaled = list(itertools.compress(together, new))
        journal.append(journaled)
        self.journaled_count += len(journaled)
        if is_doubtful:
            self._doubtful += [each.interaction_id for each in journaled]
        return new, []

    # Other changes

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
