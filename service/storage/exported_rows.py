"""Interactions with all of their columns, streamed out of one state of the database, as exports read them."""

from collections.abc import Iterator

from sqlalchemy import select

from service.storage.interaction_row import COLUMNS, InteractionRow
from service.storage.reading import Reading
from service.storage.schema import interactions

# Enough to make the fetching cheap, some megabytes to hold.
_ROWS_A_LOT = 10_000


def interaction_rows(reading: Reading) -> Iterator[list[InteractionRow]]:
    """Read all interactions in the order in which they were stored, in lots."""
    query = select(*(interactions.c[name] for name in COLUMNS.split(", "))).order_by(interactions.c.sequence)
    with reading._connection.execute(query, execution_options={"yield_per": _ROWS_A_LOT}) as result:
        for lot in result.partitions():
            yield list(map(tuple, lot))
