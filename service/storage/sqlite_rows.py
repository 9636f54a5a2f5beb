"""SQLite's own statements for interactions and for following them; knows nothing of connections or files."""

from collections.abc import Iterator, Sequence

import numpy as np
import orjson
from sqlalchemy import Connection, text

from service.domain.interactions import Interaction
from service.storage.lots import COLUMNS, StoredInteractions, empty

# Rows as one JSON text: one call of the database a lot, in which Python's other threads run on, where
# executemany would hand the interpreter to and fro for every row. ("WHERE true" ends SELECT for the parser.)
INSERT = (
    "INSERT INTO interactions"
    " (interaction_id, reader_id, book_id, type, rating, occurred_at, recommendation_id)"
    " SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),"
    " json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),"
    " json_extract(value, '$[6]') FROM json_each(?) WHERE true ON CONFLICT DO NOTHING"
)
_RECORD = f"{INSERT} RETURNING sequence, interaction_id"

# Each column of so many rows is joined into one text by the database and parsed by numpy: for 650,000 rows
# half the time of fetching rows one by one. At this size the texts stay below a megabyte.
_ROWS_A_TEXT = 20_000
_TEXTS = (
    "SELECT group_concat(sequence), group_concat(reader_id), group_concat(book_id), group_concat(type),"
    " group_concat(coalesce(rating, 'nan')), group_concat(occurred_at)"
    " FROM interactions WHERE sequence > ? AND sequence <= ?"
)
_OF_READER = (
    "SELECT sequence, reader_id, book_id, type, coalesce(rating, 'nan'), occurred_at"
    " FROM interactions WHERE reader_id = ? ORDER BY sequence"
)


def record(connection: Connection, added: Sequence[Interaction]) -> dict[str, int]:
    """Store interactions; returns the sequence of each that is new, by its id."""
    rows = [
        (
            each.interaction_id,
            each.reader_id,
            each.book_id,
            int(each.type),
            each.rating,
            each.occurred_at,
            each.recommendation_id,
        )
        for each in added
    ]
    stored = connection.exec_driver_sql(_RECORD, (orjson.dumps(rows).decode(),))
    return {name: sequence for sequence, name in stored}


def mark(connection: Connection) -> str:
    """Return what the transaction sees: the highest numbers of interactions and changes ever used."""
    # A forgotten reader's numbers count too: they are not used again.
    used = connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
    by_table = {row[0]: row[1] for row in used}
    return f"{by_table.get('interactions', 0)}:{by_table.get('changes', 0)}"


def changes_since(connection: Connection, since: str) -> list[tuple[int, int]]:
    """Return kind and key of every change after a mark."""
    found = connection.execute(
        text("SELECT kind, key FROM changes WHERE sequence > :last ORDER BY sequence"),
        {"last": _numbers(since)[1]},
    )
    return [(kind, key) for kind, key in found]


def prune_changes(connection: Connection, before: int) -> int:
    """Delete changes noted before a time in µs since 1970 UTC, and note up to which; returns how many."""
    gone = connection.exec_driver_sql("DELETE FROM changes WHERE noted_at < ? RETURNING sequence", (before,))
    numbers = list(gone.scalars())
    if numbers:
        connection.exec_driver_sql(
            "UPDATE instance SET changes_pruned = max(changes_pruned, ?)", (max(numbers),)
        )
    return len(numbers)


def lacks_changes(connection: Connection, since: str) -> bool:
    """Tell whether changes after a mark were pruned."""
    pruned = connection.execute(text("SELECT changes_pruned FROM instance")).scalar_one()
    return pruned > _numbers(since)[1]


def interactions_since(connection: Connection, since: str | None) -> Iterator[StoredInteractions]:
    """Read all interactions after a mark, or all there are, in the order in which they were stored."""
    last = int(mark(connection).partition(":")[0])
    first = 0 if since is None else _numbers(since)[0]
    for start in range(first, last, _ROWS_A_TEXT):
        texts = connection.exec_driver_sql(_TEXTS, (start, min(start + _ROWS_A_TEXT, last))).one()
        if texts[0] is not None:  # else all of them were forgotten
            yield StoredInteractions.of(
                np.fromstring(joined, dtype=kind, sep=",")
                for joined, (_, kind) in zip(texts, COLUMNS, strict=True)
            )


def count_since(connection: Connection, since: str) -> int:
    """Tell how many interactions came after a mark, those included that are gone by now."""
    return int(mark(connection).partition(":")[0]) - _numbers(since)[0]


def is_ahead(connection: Connection, since: str) -> bool:
    """Tell whether a mark has seen what this database never had, as after a backup was restored."""
    return any(seen > there for seen, there in zip(_numbers(since), _numbers(mark(connection)), strict=True))


def is_foreign(connection: Connection) -> bool:
    """Tell whether marks say nothing of some rows: never, the numbers come along with the file."""
    return False


def adopt(connection: Connection) -> None:
    """Take over what came from elsewhere: a file needs nothing."""


def of_reader(connection: Connection, reader_id: int) -> StoredInteractions:
    """Read a reader's interactions in the order in which they were stored."""
    rows = connection.exec_driver_sql(_OF_READER, (reader_id,)).all()
    if not rows:
        return empty()
    columns = zip(*rows, strict=True)
    return StoredInteractions.of(
        np.array(column, dtype=kind) for column, (_, kind) in zip(columns, COLUMNS, strict=True)
    )


def _numbers(of: str) -> tuple[int, int]:
    interactions, _, changes = of.partition(":")
    return int(interactions), int(changes)
