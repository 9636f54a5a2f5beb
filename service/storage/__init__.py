"""The database of books and interactions; knows no gRPC, no files to import and no models."""

from service.storage.bulk import Bulk, InteractionRow
from service.storage.database import Database
from service.storage.errors import StorageError
from service.storage.migrating import migrate

__all__ = ["Bulk", "Database", "InteractionRow", "StorageError", "migrate"]
