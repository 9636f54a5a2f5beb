"""PostgreSQL's own statements for interactions and for following them; knows nothing of connections.

What a transaction sees is named by PostgreSQL itself (pg_current_snapshot), and each row holds the number of
the transaction that stored it. So what became visible between two snapshots is a question with an exact
answer: nothing is skipped that took its sequence number early and committed late.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from service.domain.interactions import Interaction
from service.storage.lots import COLUMNS, StoredInteractions, empty

# %b: arrays in binary form take a third of the time of text.
_RECORD = (
    "INSERT INTO interactions"
    " (interaction_id, reader_id, book_id, type, rating, occurred_at, recommendation_id)"
    " SELECT * FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::smallint[], %b::float8[],"
    " %b::bigint[], %b::text[]) ON CONFLICT DO NOTHING RETURNING sequence, interaction_id"
)

# What a snapshot had not seen: what began after it, and what was under way. Both are found by the index,
# however old the oldest transaction is.
_SEEN_SINCE = "(transaction_id >= %(next)s::xid8 OR transaction_id = ANY(%(running)s::xid8[]))"

# A visible row of a transaction that is yet to come was made by another cluster and came here in a dump.
_FOREIGN = (
    "{} >= pg_snapshot_xmax(pg_current_snapshot())"
    " AND {} IS DISTINCT FROM pg_current_xact_id_if_assigned()"  # rows of this very transaction
)
_IN_ROWS = _FOREIGN.format("transaction_id", "transaction_id")
_IN_PRUNED = _FOREIGN.format("changes_pruned::text::xid8", "changes_pruned::text::xid8")
_IS_FOREIGN = (
    f"SELECT EXISTS (SELECT FROM interactions WHERE {_IN_ROWS})"  # noqa: S608 - constants
    f" OR EXISTS (SELECT FROM changes WHERE {_IN_ROWS}) OR EXISTS (SELECT FROM instance WHERE {_IN_PRUNED})"
)
_ADOPT = (
    f"UPDATE interactions SET transaction_id = pg_current_xact_id() WHERE {_IN_ROWS}",  # noqa: S608
    f"UPDATE changes SET transaction_id = pg_current_xact_id() WHERE {_IN_ROWS}",  # noqa: S608
    f"UPDATE instance SET changes_pruned = pg_current_xact_id()::text::bigint WHERE {_IN_PRUNED}",  # noqa: S608
)

# Each column of a lot leaves the server as one value, which numpy reads as it is. Rows one by one, even by a
# binary COPY, cost the driver five times what they cost the server.
_WIRE = (">i8", ">i8", ">i8", ">i2", ">f4", ">i8")
_ROWS_A_LOT = 20_000
_LOT = (
    "SELECT string_agg(int8send(sequence), ''), string_agg(int8send(reader_id), ''),"
    " string_agg(int8send(book_id), ''), string_agg(int2send(type), ''),"
    " string_agg(float4send(coalesce(rating, 'NaN')::float4), ''), string_agg(int8send(occurred_at), '')"
    " FROM (SELECT * FROM interactions WHERE {} ORDER BY sequence) ordered"
)
_IN_RANGE = " AND sequence > %(above)s AND sequence <= %(to)s"


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
        _parameters(since),
    )
    return [(kind, key) for kind, key in found]


def prune_changes(connection: Connection, before: int) -> int:
    """Delete changes noted before a time in µs since 1970 UTC, and note up to which; returns how many."""
    gone = connection.exec_driver_sql(
        "DELETE FROM changes WHERE noted_at < %s RETURNING transaction_id::text::bigint", (before,)
    ).scalars()
    numbers = list(gone)
    if numbers:
        connection.exec_driver_sql(
            "UPDATE instance SET changes_pruned = greatest(changes_pruned, %s)", (max(numbers),)
        )
    return len(numbers)


def lacks_changes(connection: Connection, since: str) -> bool:
    """Tell whether changes after a mark may have been pruned."""
    pruned = connection.execute(text("SELECT changes_pruned FROM instance")).scalar_one()
    return pruned >= int(since.partition(":")[0])


def interactions_since(connection: Connection, since: str | None) -> Iterator[StoredInteractions]:
    """Read all interactions that became visible after a mark, or all there are, by sequence."""
    if since is None:
        condition, parameters, least = "true", {}, _ROWS_A_LOT + 1
        bounds = "SELECT min(sequence), max(sequence) FROM interactions"
        first, last = connection.exec_driver_sql(bounds).one()
    else:
        condition, parameters = _SEEN_SINCE, _parameters(since)
        # With the count, because the index by sequence must not be walked for the least and the largest.
        bounds = f"SELECT count(*), min(sequence), max(sequence) FROM interactions WHERE {condition}"  # noqa: S608 - a constant
        least, first, last = connection.exec_driver_sql(bounds, parameters).one()
    if first is None:
        return
    if least <= _ROWS_A_LOT:
        yield _lot(connection, condition, parameters)
        return
    above = first - 1
    while above < last:
        to = above + _ROWS_A_LOT
        lot = _lot(connection, condition + _IN_RANGE, parameters | {"above": above, "to": to})
        above = to
        if len(lot.sequences):
            yield lot
        else:
            # Numbers are used up by what is stored already as well: an import's second run leaves a wide gap.
            after = "SELECT min(sequence) - 1 FROM interactions WHERE sequence > %s"
            above = connection.exec_driver_sql(after, (to,)).scalar_one() or last


def count_since(connection: Connection, since: str) -> int:
    """Tell how many interactions became visible after a mark."""
    found = connection.exec_driver_sql(
        f"SELECT count(*) FROM interactions WHERE {_SEEN_SINCE}",  # noqa: S608 - a constant
        _parameters(since),
    )
    return found.scalar_one()


def is_ahead(connection: Connection, since: str) -> bool:
    """Tell whether a mark has seen what this database never had, as after a backup was restored."""
    found = connection.exec_driver_sql(
        "SELECT pg_snapshot_xmax(%(since)s::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())",
        {"since": since},
    )
    return found.scalar_one()


def is_foreign(connection: Connection) -> bool:
    """Tell whether rows bear transactions of another cluster, so that marks say nothing of them."""
    return connection.exec_driver_sql(_IS_FOREIGN).scalar_one()


def adopt(connection: Connection) -> None:
    """Make rows of another cluster this one's."""
    for update in _ADOPT if is_foreign(connection) else ():
        connection.exec_driver_sql(update)


def of_reader(connection: Connection, reader_id: int) -> StoredInteractions:
    """Read a reader's interactions in the order in which they were stored."""
    return _lot(connection, "reader_id = %(reader)s", {"reader": reader_id})


def _lot(connection: Connection, condition: str, parameters: dict[str, Any]) -> StoredInteractions:
    columns = connection.exec_driver_sql(_LOT.format(condition), parameters).one()
    if columns[0] is None:
        return empty()
    return StoredInteractions.of(
        np.frombuffer(column, dtype=wire).astype(kind)
        for column, wire, (_, kind) in zip(columns, _WIRE, COLUMNS, strict=True)
    )


def _parameters(since: str) -> dict[str, Any]:
    """Take a snapshot apart: xmin:xmax:xip, those under way between the two."""
    _, following, running = since.split(":")
    return {"next": following, "running": "{" + running + "}"}
