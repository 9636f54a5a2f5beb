"""What can be wrong with a snapshot or the place it lies in; knows neither commands nor status codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.failure import Failure


class ModelError(Failure):
    """One line that names the file or object, what is wrong with it, and where it helps what to do."""


class NoModel(ModelError):
    """No snapshot has been promoted yet: nothing is broken, something is still to come."""


class ModelsAway(ModelError):
    """The store of models does not answer now: nothing is known to be broken, trying again makes sense."""


class Missing(ModelError):
    """A file or object is not there."""


class Overtaken(ModelError):
    """Somebody else changed what was to be changed, after it had been read."""


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a ModelError that names the file concerned."""
    try:
        yield
    except OSError as error:
        kind = Missing if isinstance(error, FileNotFoundError) else ModelError
        raise kind(f"{error.filename or path}: {(error.strerror or str(error)).lower()}") from error
