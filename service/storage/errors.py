"""What storage says when a database cannot be used at all; knows nothing of why it was wanted."""

from service.failure import Failure


class StorageError(Failure):
    """A database that cannot be used as it is: one line that names it and says what to do."""


class DatabaseAway(StorageError):
    """A database that cannot be reached now: trying again makes sense."""
