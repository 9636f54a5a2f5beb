"""The tables as this release reads and writes them; knows nothing of how older releases had them.

The migrations hold the same tables step by step, frozen; a test compares the two.
"""

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
SCHEMA_VERSION = "0001"
VERSION_TABLE = "alembic_version"

metadata = MetaData()

# Only a column declared INTEGER is SQLite's own row number, which costs no index.
_row_number = BigInteger().with_variant(Integer, "sqlite")

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
    Column("interaction_id", Text, nullable=False, unique=True),
    Column("reader_id", BigInteger, nullable=False),
    Column("book_id", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("rating", Float),
    Column("occurred_at", BigInteger, nullable=False),  # microseconds since 1970 UTC
    Column("recommendation_id", Text, nullable=False),
    Index("interactions_by_reader", "reader_id"),  # for forgetting a reader
    sqlite_autoincrement=True,
)
