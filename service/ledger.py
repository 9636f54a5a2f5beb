"""Applies every change to the database first and to memory after, one at a time; knows no protobuf.

Memory never holds what the database does not: a change that fails there is not made here. The order matters
as well: a reader who is forgotten while their interaction is being stored must not come back in memory.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from service.domain.books import Book
from service.domain.errors import Unavailable
from service.domain.interactions import Interaction
from service.domain.recommender import Recommender

# Longer than any single write takes; a caller behind this many others is better told to come again.
_LONGEST_WAIT_SECONDS = 5.0


class Store(Protocol):
    """What the ledger needs of a database; each call is durable when it returns."""

    def record(self, interactions: Sequence[Interaction]) -> list[bool]: ...
    def forget_reader(self, reader_id: int) -> int: ...
    def upsert_books(self, books: Sequence[Book]) -> tuple[int, int]: ...
    def delete_books(self, ids: Sequence[int]) -> int: ...


class Ledger:
    """The only writer of a running service. Methods raise Unavailable where the store cannot be written."""

    def __init__(self, store: Store, recommender: Recommender) -> None:
        self._store, self._recommender = store, recommender
        self._turn = threading.Lock()

    def record(self, interactions: Sequence[Interaction]) -> int:
        """Store interactions, all or none; return how many were new."""
        with self._writing():
            stored = self._store.record(interactions)
            new = [each for each, is_new in zip(interactions, stored, strict=True) if is_new]
            self._recommender.learn(new)
        return len(new)

    def forget_reader(self, reader_id: int) -> int:
        """Delete everything of a reader; return how many interactions that were."""
        with self._writing():
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
        if not self._turn.acquire(timeout=_LONGEST_WAIT_SECONDS):
            raise Unavailable("too many changes are waiting to be stored", retry_seconds=1.0)
        try:
            yield
        finally:
            self._turn.release()
