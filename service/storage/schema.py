"""The tables as this release reads and writes them; knows nothing of how older releases had them.

The migrations hold the same tables step by step, frozen; a test compares the two. On PostgreSQL interactions
and changes have one more column, `transaction_id`, which the database fills in and postgres_rows.py reads.
"""

import time

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

# The newest migration. Kept here so that opening a database needs no alembic, which
# would add a third of a second to every start; a test compares it with the scripts.
SCHEMA_VERSION = "0002"
VERSION_TABLE = "alembic_version"

metadata = MetaData()


def microseconds_now() -> int:
    """Return the time in µs since 1970 UTC."""
    return time.time_ns() // 1000


# Only a column declared INTEGER is SQLite's own row number, which costs no index.
_row_number = BigInteger().with_variant(Integer, "sqlite")
# Ids that others chose, compared byte by byte as SQLite does, whatever language the server speaks.
_identifier = Text().with_variant(Text(collation="C"), "postgresql")

books = Table(
    "books",
    metadata,
    Column("id", _row_number, primary_key=True, autoincrement=False),
    Column("title", Text, nullable=False),
    # Lists are JSON: read and written whole, with their book, and never searched in.
    Column("authors", Text, nullable=False),
    Column("year", Integer, nullable=False),
    Column("language", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("series_position", Float, nullable=False),
    Column("work_id", BigInteger, nullable=False),
    Column("categories", Text, nullable=False),
)

interactions = Table(
    "interactions",
    metadata,
    # Whoever follows the table asks for what is above the last number seen: a number is never used twice.
    Column("sequence", _row_number, primary_key=True),
    Column("interaction_id", _identifier, nullable=False, unique=True),
    Column("reader_id", BigInteger, nullable=False),
    Column("book_id", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("rating", Float),
    Column("occurred_at", BigInteger, nullable=False),  # microseconds since 1970 UTC
    Column("recommendation_id", _identifier, nullable=False),
    Index("interactions_by_reader", "reader_id"),  # for forgetting a reader
    sqlite_autoincrement=True,
)

# What a follower cannot see in the tables themselves: rows that were replaced or are gone.
changes = Table(
    "changes",
    metadata,
    Column("sequence", _row_number, primary_key=True),
    Column("kind", SmallInteger, nullable=False),  # BOOK_CHANGED, READER_FORGOTTEN
    Column("key", BigInteger, nullable=False),  # the book's or the reader's id
    # microseconds since 1970 UTC: a forgotten reader's number goes when no mirror needs it any more
    Column("noted_at", BigInteger, nullable=False, default=microseconds_now),
    Index("changes_by_time", "noted_at"),
    sqlite_autoincrement=True,
)
BOOK_CHANGED, READER_FORGOTTEN = 1, 2

# Answers that were shown, to be joined with the interactions that name them.
exposures = Table(
    "exposures",
    metadata,
    # No reader: whoever is forgotten is forgotten here too, once their interactions are gone.
    Column("recommendation_id", _identifier, primary_key=True),
    Column("shown_at", BigInteger, nullable=False),  # microseconds since 1970 UTC
    Column("strategy", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("book_ids", Text, nullable=False),  # JSON, in the order shown
    Index("exposures_by_time", "shown_at"),
)

# One row: which database this is. Backups and standbys have the same; a journal of another is refused.
instance = Table(
    "instance",
    metadata,
    Column("id", Text, primary_key=True),
    # The latest change that was pruned, by its sequence, on PostgreSQL by its transaction: who has seen less
    # cannot follow any more.
    Column("changes_pruned", BigInteger, nullable=False),
)
