"""One state of the database, read as long as it takes; knows neither product nor what readers of it do."""

from collections.abc import Iterator, Sequence
from types import ModuleType

from sqlalchemy import Connection, func, select

from service.domain.books import Book
from service.domain.interactions import InteractionLog
from service.storage import book_rows
from service.storage.errors import StorageError
from service.storage.lots import StoredInteractions
from service.storage.schema import BOOK_CHANGED, READER_FORGOTTEN, books, interactions


class News:
    """What became visible after a mark, up to what a reading sees; to be read while the reading is open."""

    def __init__(self, rows: ModuleType, connection: Connection, since: str) -> None:
        self._rows, self._connection, self._since = rows, connection, since
        changes = rows.changes_since(connection, since)
        self.changed_book_ids = list(dict.fromkeys(key for kind, key in changes if kind == BOOK_CHANGED))
        self.forgotten_reader_ids = list(
            dict.fromkeys(key for kind, key in changes if kind == READER_FORGOTTEN)
        )

    def interactions(self) -> Iterator[StoredInteractions]:
        """Read the new interactions by sequence, in lots."""
        _be_patient(self._connection)
        return self._rows.interactions_since(self._connection, self._since)

    def interaction_count(self) -> int:
        """Count the new interactions."""
        _be_patient(self._connection)
        return self._rows.count_since(self._connection, self._since)


class Reading:
    """A read-only transaction: all of it sees the state of one moment, `mark`."""

    def __init__(self, rows: ModuleType, connection: Connection) -> None:
        self._rows, self._connection = rows, connection
        self.mark: str = rows.mark(connection)

    def books(self) -> Iterator[Book]:
        """Read all books by ascending id."""
        _be_patient(self._connection)
        return book_rows.stored(self._connection)

    def books_of(self, ids: Sequence[int]) -> list[Book]:
        """Read those of these books that there are, by ascending id."""
        found: list[Book] = []
        for start in range(0, len(ids), book_rows.IDS_A_STATEMENT):
            found += book_rows.stored(self._connection, ids[start : start + book_rows.IDS_A_STATEMENT])
        return found

    def book_count(self) -> int:
        """Count books."""
        _be_patient(self._connection)
        return self._connection.scalar(select(func.count()).select_from(books)) or 0

    def interaction_count(self) -> int:
        """Count interactions."""
        _be_patient(self._connection)
        return self._connection.scalar(select(func.count()).select_from(interactions)) or 0

    def interactions(self) -> Iterator[StoredInteractions]:
        """Read all interactions in the order in which they were stored, in lots."""
        _be_patient(self._connection)
        return self._rows.interactions_since(self._connection, None)

    def interactions_of(self, reader_id: int) -> InteractionLog:
        """Read a reader's interactions in the order in which they were stored."""
        return self._rows.of_reader(self._connection, reader_id).log

    def sequences_of(self, interaction_ids: Sequence[str]) -> list[int]:
        """Return the numbers of those of these interactions that are stored."""
        found: list[int] = []
        for start in range(0, len(interaction_ids), book_rows.IDS_A_STATEMENT):
            some = interaction_ids[start : start + book_rows.IDS_A_STATEMENT]
            numbers = select(interactions.c.sequence).where(interactions.c.interaction_id.in_(some))
            found += self._connection.scalars(numbers)
        return found

    def news(self, since: str) -> News:
        """Return what became visible after a mark of an earlier reading.

        Raises StorageError where the database is older than the mark, or the mark too old.
        """
        if self._rows.is_ahead(self._connection, since):
            raise StorageError("the database is older than what is in memory; was a backup restored?")
        if self._rows.lacks_changes(self._connection, since):
            raise StorageError("what is in memory is too old to be followed up; changes since were pruned")
        return News(self._rows, self._connection, since)


def _be_patient(connection: Connection) -> None:
    # From here on as long as it takes, where the server is sound: much is read, or everything is counted.
    connection.execution_options(patient=True)
