"""Many rows in one transaction, as imports write them; knows nothing of where they come from."""

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import orjson
from sqlalchemy import Connection, func, select

from service.domain.books import Book
from service.storage import sqlite
from service.storage.book_rows import upsert
from service.storage.interaction_row import InteractionRow
from service.storage.schema import books, interactions
from service.storage.sqlite_rows import INSERT

if TYPE_CHECKING:
    from service.storage.postgres_copy import CopiedInteractions

# The unique index is written at random places: so much holds most of it for a million rows, SQLite's usual
# 2 MiB would write and read most pages again and again and halve the rate.
_CACHE_MEBIBYTES, _USUAL_CACHE_MEBIBYTES = 48, 2

(_BY_READER,) = interactions.indexes


class Bulk:
    """A transaction that is open: nothing of it is seen by others before it ends well."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stack = ExitStack()
        self._taken: CopiedInteractions | _InsertedInteractions | None = None

    def __enter__(self) -> "Bulk":
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            with self._stack:
                self.finish_interactions()
        else:
            self._stack.__exit__(*error)

    def book_ids(self) -> set[int]:
        """Return the ids of all books of the catalogue."""
        return set(self._connection.execute(select(books.c.id)).scalars())

    def add_books(self, added: Sequence[Book]) -> tuple[int, int]:
        """Store books; returns how many were new and how many replaced one of the same id."""
        return upsert(self._connection, added)

    def add_interactions(self, rows: Sequence[InteractionRow]) -> None:
        """Take interactions in this order; one whose id is stored already, or came before, changes nothing.

        After the first ones nothing else may be asked for before `finish_interactions`.
        """
        if not rows:
            return
        if self._taken is None:
            taking = _taking(self._connection)
            self._stack.enter_context(taking)
            self._taken = taking
        self._taken.add(rows)

    def finish_interactions(self) -> int:
        """Store what was taken since the last call; returns how many interactions were new."""
        if self._taken is None:
            return 0
        new = self._taken.finish()
        self._stack.close()
        self._taken = None
        return new


def _taking(connection: Connection) -> "CopiedInteractions | _InsertedInteractions":
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return _InsertedInteractions(connection, driver)
    import psycopg  # not there before a database of PostgreSQL is used: it is slow to import

    from service.storage.postgres_copy import CopiedInteractions

    assert isinstance(driver, psycopg.Connection)
    return CopiedInteractions(driver)


class _InsertedInteractions:
    """Interactions on their way into SQLite."""

    def __init__(self, connection: Connection, driver: sqlite3.Connection) -> None:
        self._connection, self._driver = connection, driver
        self._new = 0
        # Sorting all rows into an index once is cheaper than finding each one's place.
        self._index_is_due = not connection.execute(select(func.max(interactions.c.sequence))).scalar()
        if self._index_is_due:
            _BY_READER.drop(connection)

    def __enter__(self) -> Self:
        sqlite.set_cache(self._driver, _CACHE_MEBIBYTES)
        return self

    def __exit__(self, *_: object) -> None:
        sqlite.set_cache(self._driver, _USUAL_CACHE_MEBIBYTES)

    def add(self, rows: Sequence[InteractionRow]) -> None:
        """Insert rows."""
        before = self._driver.total_changes
        self._driver.execute(INSERT, (orjson.dumps(rows).decode(),))
        self._new += self._driver.total_changes - before

    def finish(self) -> int:
        """Bring the index up to date; returns how many rows were new."""
        if self._index_is_due:
            # Where the transaction fails, the index that was dropped comes back by itself.
            _BY_READER.create(self._connection)
        return self._new
