"""Opens the database that the settings name; the one place that hands settings to storage."""

from service.settings import Settings
from service.storage import Database, migrate


def open_database(settings: Settings) -> Database:
    """Open the database; raises StorageError, one line, where it cannot be used."""
    return Database.open(
        settings.database_url,
        password_file=settings.database_password_file,
        pool_size=settings.database_pool_size,
        connect_seconds=settings.database_connect_seconds,
        statement_seconds=settings.database_statement_seconds,
    )


def migrate_database(settings: Settings) -> None:
    """Make the database, or bring its schema up to date; raises StorageError, one line."""
    migrate(
        settings.database_url,
        password_file=settings.database_password_file,
        connect_seconds=settings.database_connect_seconds,
    )
