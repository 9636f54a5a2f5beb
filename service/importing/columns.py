"""The columns that files may have, as documentation and as what readers look for; knows no file format.

Names are exact; their order in a file is free. A column that is not listed here refuses the file, because a
misspelt name would otherwise lose a column unseen. An empty field, a JSON null and a missing optional column
all mean the default.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# What a value can be read as; texts are several, in one field separated by ";" or as a list.
Kind = Literal["whole", "number", "text", "texts", "moment"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: how its values are read, what an empty field means (None: it may not be empty)."""

    name: str
    kind: Kind
    default: str | None
    meaning: str

    @property
    def required(self) -> bool:
        """Tell whether every row needs a value."""
        return self.default is None


BOOK_COLUMNS = (
    Column(
        "id", "whole", None, "the shop's number of the book, 1 or more; a book of the same id is replaced"
    ),
    Column("title", "text", None, "1 to 500 characters"),
    Column(
        "authors",
        "texts",
        "none",
        'separated by ";", or as a JSON list, in the order of the title page, at most 20',
    ),
    Column("year", "whole", "0 (unknown)", "of first publication, -3000 to 2100; negative is BCE"),
    Column("language", "text", "unknown", 'BCP 47 tag such as "en" or "pt-BR"'),
    Column("series", "text", "in no series", "name of the series, at most 200 characters"),
    Column("series_position", "number", "0 (unknown)", "0 to 10000, fractions for volumes in between"),
    Column("work_id", "whole", "0 (its own work)", "shared by the editions of one work"),
    Column(
        "categories", "texts", "general", 'slugs separated by ";", such as "mystery;classics", at most 20'
    ),
)

INTERACTION_COLUMNS = (
    Column("reader_id", "whole", None, "the shop's number of the reader, 1 or more"),
    Column("book_id", "whole", None, "a book of the catalogue; import books first"),
    Column(
        "type",
        "text",
        "RATING where the row has a rating, else READ",
        "VIEW, WISHLIST, PURCHASE, READ, RATING, REMOVE or NOT_INTERESTED, in upper or lower case",
    ),
    Column("rating", "number", "none", "1 to 5, half steps allowed; RATING needs one, no other type has one"),
    Column(
        "occurred_at",
        "moment",
        "the time of the import",
        "RFC 3339 with a time zone, such as 2026-05-01T12:00:00Z, or seconds since 1970 UTC",
    ),
    Column(
        "interaction_id",
        "text",
        "a digest of the row",
        "1 to 64 printable ASCII characters; one that is stored already is counted and changes nothing,"
        " so with either kind of id a file can be imported again",
    ),
    Column("recommendation_id", "text", "none", "the answer that led to it, as the service named it"),
)


def column_table(columns: Sequence[Column]) -> str:
    """Write columns as aligned text for `--help`: name, default, meaning."""
    name_width = max(len(column.name) for column in columns)
    lines = []
    for column in columns:
        rule = "required" if column.default is None else f"default: {column.default}"
        lines.append(f"{column.name:<{name_width}}  {column.meaning} ({rule})")
    return "\n".join(lines)
