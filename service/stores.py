"""Opens the database and the models that the settings name; the one place that hands settings to both."""

from typing import TYPE_CHECKING

from service.settings import Settings
from service.storage import Database, migrate

if TYPE_CHECKING:
    from service.models import ModelStore


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


def open_models(settings: Settings) -> "ModelStore":
    """Open the directory or the bucket of models; raises ModelError, one line."""
    from service.models import ModelStore  # numpy and object stores: what asks for a database does without

    return ModelStore.open(
        settings.models_url,
        cache_directory=settings.models_cache_directory,
        endpoint=settings.models_endpoint,
        region=settings.models_region,
        credentials_file=settings.models_credentials_file,
        ca_file=settings.models_ca_file,
    )
