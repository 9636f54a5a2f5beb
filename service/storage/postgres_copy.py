"""Interactions into PostgreSQL by COPY, as many as there are; knows nothing of where they come from.

COPY knows no ON CONFLICT. Into an empty table rows are copied as they are, without its indexes, which are
made anew at the end: sorting all rows once is three times as quick as finding each one's place. That takes
the table for itself meanwhile, as any writer takes a SQLite database. Into a table with rows they go through
a table of the session's own, so that readers and writers of the service are not kept waiting.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

import orjson
import psycopg

from service.storage.interaction_row import COLUMNS, InteractionRow

# A row as JSON, its brackets aside, is CSV with another escape: ids are printable ASCII, of which JSON
# escapes the quote and the backslash alone. That takes a third of the time of formatting rows in Python.
_COPY = f"COPY {{}} ({COLUMNS}) FROM STDIN (FORMAT csv, ESCAPE '\\', NULL 'null')"

# Only who owns the table may take its indexes away.
_IS_EMPTY = (
    "SELECT pg_has_role(relowner, 'USAGE') AND NOT EXISTS (SELECT FROM interactions)"
    " FROM pg_class WHERE oid = 'interactions'::regclass"
)
# Everybody who comes after has to wait behind whoever waits for such a lock: not for long. There is no other
# lock to be waited for in this transaction.
_LOCK = "SET LOCAL lock_timeout = '500ms'; LOCK TABLE interactions IN ACCESS EXCLUSIVE MODE"
# How to drop each index and how to make it again, just as it was, whatever release made it.
_INDEXES = """
SELECT CASE WHEN conname IS NULL THEN format('DROP INDEX %s', indexrelid::regclass)
            ELSE format('ALTER TABLE interactions DROP CONSTRAINT %I', conname) END,
       CASE WHEN conname IS NULL THEN pg_get_indexdef(indexrelid)
            ELSE format('ALTER TABLE interactions ADD CONSTRAINT %I %s', conname, definition) END
FROM pg_index LEFT JOIN pg_constraint ON conindid = indexrelid AND contype = 'u',
     pg_get_constraintdef(pg_constraint.oid) definition
WHERE indrelid = 'interactions'::regclass AND NOT indisprimary
ORDER BY indisunique DESC
"""
_DELETE_REPEATED = """
DELETE FROM interactions later
USING (SELECT interaction_id, min(sequence) AS sequence
       FROM interactions GROUP BY interaction_id HAVING count(*) > 1) first
WHERE later.interaction_id = first.interaction_id AND later.sequence > first.sequence
"""
_INCOMING = (
    "CREATE TEMPORARY TABLE incoming (place bigserial, interaction_id text, reader_id bigint, book_id bigint,"
    " type smallint, rating float8, occurred_at bigint, recommendation_id text) ON COMMIT DROP"
)
_MOVE = (
    f"INSERT INTO interactions ({COLUMNS}) SELECT {COLUMNS} FROM incoming ORDER BY place"  # noqa: S608 - constants
    " ON CONFLICT DO NOTHING"
)


class CopiedInteractions:
    """Interactions on their way into PostgreSQL, in the transaction that is open."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._remaking: list[str] = []
        self._copying = ExitStack()
        self._taken = 0
        self._is_alone = self._takes_empty_table()
        if not self._is_alone:
            connection.execute(_INCOMING)

    def __enter__(self) -> Self:
        # One COPY for all lots: the server works on while the next lot is read.
        statement = _COPY.format("interactions" if self._is_alone else "incoming")
        self._copy = self._copying.enter_context(self._connection.cursor().copy(statement))
        return self

    def __exit__(self, *error: Any) -> None:
        self._copying.__exit__(*error)

    def add(self, rows: Sequence[InteractionRow]) -> None:
        """Copy rows."""
        self._copy.write(b"".join([orjson.dumps(row)[1:-1] + b"\n" for row in rows]))
        self._taken += len(rows)

    def finish(self) -> int:
        """Bring rows and indexes where they belong; returns how many rows were new."""
        self._copying.close()
        if self._is_alone:
            return self._taken - sum(map(self._remake, self._remaking))
        moved = self._connection.execute(_MOVE).rowcount
        self._connection.execute("DROP TABLE incoming")
        return moved

    def _takes_empty_table(self) -> bool:
        if not self._answers(_IS_EMPTY):
            return False
        try:
            with self._connection.transaction():
                self._connection.execute(_LOCK)
        except psycopg.errors.LockNotAvailable:  # a long reading; it goes the other way, more slowly
            return False
        if not self._answers(_IS_EMPTY):  # somebody was quicker
            return False
        for drop, make in self._connection.execute(_INDEXES).fetchall():
            self._connection.execute(drop)
            self._remaking.append(make)
        return True

    def _answers(self, question: str) -> bool:
        row = self._connection.execute(question).fetchone()
        return row is not None and bool(row[0])

    def _remake(self, index: str) -> int:
        """Make an index; returns how many rows had to go for it, the later ones of equal ids."""
        try:
            with self._connection.transaction():
                self._connection.execute(index)
        except psycopg.errors.UniqueViolation:
            gone = self._connection.execute(_DELETE_REPEATED).rowcount
            self._connection.execute(index)
            return gone
        return 0
