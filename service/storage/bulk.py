"""Many rows in one transaction, as imports write them; knows nothing of where they come from."""

import sqlite3
from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, func, select

from service.domain.books import Book
from service.storage import sqlite
from service.storage.book_rows import upsert
from service.storage.schema import books, interactions

# interaction_id, reader_id, book_id, type, rating, occurred_at, recommendation_id
InteractionRow = tuple[str, int, int, int, float | None, int, str]

# Many rows as one JSON text: one call of the database a lot, in which Python's other threads run on, where
# executemany would hand the interpreter to and fro for every row. ("WHERE true" ends SELECT for the parser.)
_INSERT = (
    "INSERT INTO interactions"
    " (interaction_id, reader_id, book_id, type, rating, occurred_at, recommendation_id)"
    " SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),"
    " json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),"
    " json_extract(value, '$[6]') FROM json_each(?) WHERE true ON CONFLICT DO NOTHING"
)

# The unique index is written at random places: 64 MiB hold that of a million rows, SQLite's usual 2 MiB
# would write and read most pages again and again and halve the rate.
_CACHE_MEBIBYTES, _USUAL_CACHE_MEBIBYTES = 64, 2

(_BY_READER,) = interactions.indexes


class Bulk:
    """A transaction that is open: nothing of it is seen by others before it ends well."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self._driver = driver
        self._index_is_due = False
        self._wrote_interactions = False

    def __enter__(self) -> "Bulk":
        sqlite.set_cache(self._driver, _CACHE_MEBIBYTES)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # An index that was dropped comes back with the rollback by itself.
        if self._index_is_due and kind is None:
            _BY_READER.create(self._connection)
        sqlite.set_cache(self._driver, _USUAL_CACHE_MEBIBYTES)

    def book_ids(self) -> set[int]:
        """Return the ids of all books of the catalogue."""
        return set(self._connection.execute(select(books.c.id)).scalars())

    def add_books(self, added: Sequence[Book]) -> tuple[int, int]:
        """Store books; returns how many were new and how many replaced one of the same id."""
        return upsert(self._connection, added)

    def add_interactions(self, rows: Sequence[InteractionRow]) -> int:
        """Store interactions in this order; returns how many had an id that was not stored before."""
        if not self._wrote_interactions:
            self._wrote_interactions = True
            if not self._connection.execute(select(func.max(interactions.c.sequence))).scalar():
                # Sorting all rows into an index once is cheaper than finding each one's place.
                _BY_READER.drop(self._connection)
                self._index_is_due = True
        before = self._driver.total_changes
        self._driver.execute(_INSERT, (orjson.dumps(rows).decode(),))
        return self._driver.total_changes - before
