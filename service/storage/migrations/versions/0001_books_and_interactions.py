"""Books and interactions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    row_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "books",
        sa.Column("id", row_number, primary_key=True, autoincrement=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("authors", sa.Text, nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("series", sa.Text, nullable=False),
        sa.Column("series_position", sa.Float, nullable=False),
        sa.Column("work_id", sa.BigInteger, nullable=False),
        sa.Column("categories", sa.Text, nullable=False),
    )
    op.create_table(
        "interactions",
        sa.Column("sequence", row_number, primary_key=True),
        sa.Column("interaction_id", sa.Text, nullable=False, unique=True),
        sa.Column("reader_id", sa.BigInteger, nullable=False),
        sa.Column("book_id", sa.BigInteger, nullable=False),
        sa.Column("type", sa.SmallInteger, nullable=False),
        sa.Column("rating", sa.Float),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("recommendation_id", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("interactions_by_reader", "interactions", ["reader_id"])
