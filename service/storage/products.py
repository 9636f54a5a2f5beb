"""Which database product a URL names; knows nothing of tables."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from service.storage.address import file_of, is_postgres
from service.storage.sqlite import Sqlite

if TYPE_CHECKING:
    from service.storage.postgres import Postgres

Product: TypeAlias = "Sqlite | Postgres"


def product_of(
    url: str,
    *,
    create: bool = False,
    password_file: Path | None = None,
    pool_size: int = 1,
    connect_seconds: float = 5.0,
    statement_seconds: float = 5.0,
) -> Product:
    """Return what is peculiar to the database that a URL names; raises StorageError for a URL of neither.

    `create` makes a SQLite file; the other options are PostgreSQL's.
    """
    if not is_postgres(url):
        return Sqlite(file_of(url), create=create)
    from service.storage.postgres import (
        Postgres,
    )  # psycopg takes a moment to import, and is needed there alone

    return Postgres(
        url,
        password_file=password_file,
        pool_size=pool_size,
        connect_seconds=connect_seconds,
        statement_seconds=statement_seconds,
    )
