"""What followers need, answers that were shown, and which database this is."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables; on PostgreSQL rows also get the number of the transaction that stored them."""
    row_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "changes",
        sa.Column("sequence", row_number, primary_key=True),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("key", sa.BigInteger, nullable=False),
        sa.Column("noted_at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("changes_by_time", "changes", ["noted_at"])
    op.create_table(
        "exposures",
        sa.Column("recommendation_id", bytewise, primary_key=True),
        sa.Column("shown_at", sa.BigInteger, nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("book_ids", sa.Text, nullable=False),
    )
    op.create_index("exposures_by_time", "exposures", ["shown_at"])
    instance = op.create_table(
        "instance",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("changes_pruned", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(instance, [{"id": str(uuid.uuid4()), "changes_pruned": 0}])
    if op.get_bind().dialect.name == "postgresql":
        # Ids have no order but that of their bytes: their index is made in a third of the time, and stays
        # right when the server's machine gets another version of a language's rules.
        for column in ("interaction_id", "recommendation_id"):
            op.execute(f'ALTER TABLE interactions ALTER COLUMN {column} TYPE text COLLATE "C"')
        # Numbers of a sequence are handed out before commits: a row can become visible after one with a
        # higher number. What a snapshot of transactions has seen is exact.
        for table in ("interactions", "changes"):
            op.execute(
                f"ALTER TABLE {table} ADD COLUMN transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id()"
            )
            op.execute(f"CREATE INDEX {table}_by_transaction ON {table} (transaction_id)")
