"""PostgreSQL's own statements for interactions and for following them; knows nothing of connections.

What a transaction sees is named by PostgreSQL itself (pg_current_snapshot), and each row holds the number of
the transaction that stored it. So what became visible between two snapshots is a question with an exact
answer: nothing is skipped that took its sequence number early and committed late.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import Connection, text

from service.domain.interactions import Interaction
from service.storage.lots import COLUMNS, StoredInteractions, empty

_RECORD = (
    "INSERT INTO interactions"
    " (interaction_id, reader_id, book_id, type, rating, occurred_at, recommendation_id)"
    " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::smallint[], %s::float8[],"
    " %s::bigint[], %s::text[]) ON CONFLICT DO NOTHING RETURNING sequence, interaction_id"
)

_SEEN_SINCE = (
    "transaction_id >= pg_snapshot_xmin(%(since)s::pg_snapshot)"
    " AND NOT pg_visible_in_snapshot(transaction_id, %(since)s::pg_snapshot)"
)
# Fields of fixed length and no nulls make rows of fixed length, which numpy reads as they come.
_COPY = (
    "COPY (SELECT sequence, reader_id, book_id, type::int4, coalesce(rating, 'NaN'), occurred_at"
    " FROM interactions WHERE {} ORDER BY sequence) TO STDOUT (FORMAT binary)"
)
# https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": the number of fields, then each
# field behind its length.
_WIRE = {
    "sequence": ">i8",
    "reader_id": ">i8",
    "book_id": ">i8",
    "type": ">i4",
    "rating": ">f8",
    "occurred_at": ">i8",
}
_ROW = np.dtype(
    [("fields", ">i2")]
    + [each for name, kind in _WIRE.items() for each in ((f"{name}_length", ">i4"), (name, kind))]
)
_HEADER_BYTES = 19
_ROWS_A_LOT = 20_000


def record(connection: Connection, added: Sequence[Interaction]) -> dict[str, int]:
    """Store interactions; returns the sequence of each that is new, by its id."""
    columns: tuple[list[Any], ...] = (
        [each.interaction_id for each in added],
        [each.reader_id for each in added],
        [each.book_id for each in added],
        [int(each.type) for each in added],
        [each.rating for each in added],
        [each.occurred_at for each in added],
        [each.recommendation_id for each in added],
    )
    return {name: sequence for sequence, name in connection.exec_driver_sql(_RECORD, columns)}


def mark(connection: Connection) -> str:
    """Return what the transaction sees."""
    return connection.execute(text("SELECT pg_current_snapshot()::text")).scalar_one()


def changes_since(connection: Connection, since: str) -> list[tuple[int, int]]:
    """Return kind and key of every change that became visible after a mark."""
    found = connection.exec_driver_sql(
        f"SELECT kind, key FROM changes WHERE {_SEEN_SINCE} ORDER BY sequence",  # noqa: S608 - a constant
        {"since": since},
    )
    return [(kind, key) for kind, key in found]


def interactions_since(connection: Connection, since: str | None) -> Iterator[StoredInteractions]:
    """Read all interactions that became visible after a mark, or all there are, by sequence."""
    if since is None:
        yield from _copied(connection, "true", {})
    else:
        yield from _copied(connection, _SEEN_SINCE, {"since": since})


def count_since(connection: Connection, since: str) -> int:
    """Tell how many interactions became visible after a mark."""
    found = connection.exec_driver_sql(
        f"SELECT count(*) FROM interactions WHERE {_SEEN_SINCE}",  # noqa: S608 - a constant
        {"since": since},
    )
    return found.scalar_one()


def is_ahead(connection: Connection, since: str) -> bool:
    """Tell whether a mark has seen what this database never had, as after a backup was restored."""
    found = connection.exec_driver_sql(
        "SELECT pg_snapshot_xmax(%(since)s::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())",
        {"since": since},
    )
    return found.scalar_one()


def of_reader(connection: Connection, reader_id: int) -> StoredInteractions:
    """Read a reader's interactions in the order in which they were stored."""
    lots = list(_copied(connection, "reader_id = %(reader)s", {"reader": reader_id}))
    if not lots:
        return empty()
    columns = zip(*([lot.sequences, *_columns_of(lot)] for lot in lots), strict=True)
    return StoredInteractions.of(np.concatenate(column) for column in columns)


def _columns_of(lot: StoredInteractions) -> list[np.ndarray]:
    log = lot.log
    return [log.reader_ids, log.book_ids, log.types, log.ratings, log.occurred_at]


def _copied(
    connection: Connection, condition: str, parameters: dict[str, Any]
) -> Iterator[StoredInteractions]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with driver.cursor().copy(_COPY.format(condition), parameters) as copy:
        held, size, skipped = [], 0, _HEADER_BYTES
        for piece in copy:
            held.append(piece)
            size += len(piece)
            if size - skipped >= _ROWS_A_LOT * _ROW.itemsize:
                rows, rest = _rows(b"".join(held)[skipped:])
                yield rows
                held, size, skipped = [rest], len(rest), 0
        rows, _end = _rows(b"".join(held)[skipped:])
        if len(rows.sequences):
            yield rows


def _rows(content: bytes) -> tuple[StoredInteractions, bytes]:
    whole = len(content) // _ROW.itemsize
    table = np.frombuffer(content, dtype=_ROW, count=whole)
    lot = StoredInteractions.of(table[name].astype(kind) for name, kind in COLUMNS)
    return lot, content[whole * _ROW.itemsize :]
