"""What can be wrong with a snapshot or its directory; knows neither commands nor status codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.failure import Failure


class ModelError(Failure):
    """One line that names the file, what is wrong with it, and where it helps what to do."""


class NoModel(ModelError):
    """No snapshot has been promoted yet: nothing is broken, something is still to come."""


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a ModelError that names the file concerned."""
    try:
        yield
    except OSError as error:
        raise ModelError(f"{error.filename or path}: {(error.strerror or str(error)).lower()}") from error
