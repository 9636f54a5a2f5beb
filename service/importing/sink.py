"""What importing needs of a database; knows no database."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from service.domain.books import Book

# interaction_id, reader_id, book_id, type, rating, occurred_at (microseconds since 1970), recommendation_id
InteractionRow = tuple[str, int, int, int, float | None, int, str]


class Sink(Protocol):
    """One open transaction that takes rows in lots."""

    def book_ids(self) -> set[int]:
        """Return the ids of all books of the catalogue."""

    def add_books(self, added: Sequence[Book], /) -> tuple[int, int]:
        """Store books; returns how many were new and how many replaced one of the same id."""

    def add_interactions(self, rows: Sequence[InteractionRow], /) -> None:
        """Take interactions in this order; one whose id is stored, or came before, changes nothing."""

    def finish_interactions(self) -> int:
        """Store what was taken; returns how many interactions were new."""


class Store(Protocol):
    """Where a file goes."""

    def bulk(self) -> AbstractContextManager[Sink]:
        """Open one transaction: kept when the block ends well, undone when it raises."""
