"""The database of books and interactions; knows no gRPC, no files to import and no models."""

from service.storage.bulk import Bulk, InteractionRow
from service.storage.database import Database
from service.storage.errors import DatabaseAway, StorageError
from service.storage.lots import StoredInteractions, joined
from service.storage.migrating import migrate
from service.storage.reading import News, Reading

__all__ = [
    "Bulk",
    "Database",
    "DatabaseAway",
    "InteractionRow",
    "News",
    "Reading",
    "StorageError",
    "StoredInteractions",
    "joined",
    "migrate",
]
