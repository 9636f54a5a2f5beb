"""The columns that files get, in order: all that importing reads; knows no file format."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

# What a column's values are: texts are several in one field, a moment is in microseconds since 1970 UTC.
Kind = Literal["whole", "number", "text", "texts", "moment"]

# Some rows as columns of one length.
Lot = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file."""

    name: str
    kind: Kind


BOOK_COLUMNS = (
    Column("id", "whole"),
    Column("title", "text"),
    Column("authors", "texts"),
    Column("year", "whole"),
    Column("language", "text"),
    Column("series", "text"),
    Column("series_position", "number"),
    Column("work_id", "whole"),
    Column("categories", "texts"),
)

INTERACTION_COLUMNS = (
    Column("reader_id", "whole"),
    Column("book_id", "whole"),
    Column("type", "text"),
    Column("rating", "number"),
    Column("occurred_at", "moment"),
    Column("interaction_id", "text"),
    Column("recommendation_id", "text"),
)
