"""What a database URL names; knows nothing of what is in it."""

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from service.storage.errors import StorageError

POSTGRES = "postgresql://"
_FORM = (
    "sqlite:///folder/file.db, sqlite:////folder/file.db from the root, or postgresql://user@host/database"
)


def is_postgres(url: str) -> bool:
    """Tell whether a URL names a PostgreSQL database."""
    return url.startswith(POSTGRES)


def file_of(url: str) -> Path:
    """Return the file that a sqlite:/// URL names.

    Raises StorageError for any other URL, without repeating it: it may hold a password.
    """
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise StorageError(f"the database URL cannot be read; it has the form {_FORM}") from None
    if parts.drivername != "sqlite":
        raise StorageError(
            f"the database URL begins with {parts.drivername}:, not with sqlite:/// or postgresql://"
        )
    if parts.host or not parts.database or parts.database.startswith((":memory:", "file:")):
        raise StorageError(f"the database URL names no file; it has the form {_FORM}")
    if parts.query:
        raise StorageError("the database URL has options after a ?; none are known for SQLite")
    return Path(parts.database)
