"""The layout of goodbooks-10k's ratings.csv turned into this importer's columns; knows no rules for rows.

Its columns are user_id, book_id and rating. It has no times, but its rows are sorted by time: the first was
given at the start of the year 2000, each further one a second later. Errors name this importer's columns.
"""

from collections.abc import Iterator
from pathlib import Path

from service.importing.chunks import Chunk
from service.importing.columns import INTERACTION_COLUMNS, Column
from service.importing.csv_files import read_csv

_COLUMNS = (
    Column("user_id", "whole", None, "reader_id"),
    Column("book_id", "whole", None, "book_id"),
    Column("rating", "number", None, "rating"),
)
_START_SECONDS = 946_684_800


def read_goodbooks_ratings(path: Path) -> Iterator[Chunk]:
    """Read ratings.csv as rows of INTERACTION_COLUMNS; raises ImportFailed."""
    for chunk in read_csv(path, _COLUMNS):
        lines = chunk.places()
        reader_ids, book_ids, ratings = chunk.columns
        made = {
            "reader_id": reader_ids,
            "book_id": book_ids,
            "rating": ratings,
            "occurred_at": [_START_SECONDS + line for line in lines],
        }
        nothing = [""] * len(lines)
        columns = [made.get(column.name, nothing) for column in INTERACTION_COLUMNS]
        yield Chunk(columns, chunk.places, chunk.broken, chunk.done_bytes)
