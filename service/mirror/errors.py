"""What can be wrong with a mirror or its directory; knows neither commands nor status codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.failure import Failure


class MirrorError(Failure):
    """One line that names the file and the rule that it breaks; a mirror that breaks one is never used."""


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a MirrorError that names the file concerned."""
    try:
        yield
    except OSError as error:
        raise MirrorError(f"{error.filename or path}: {(error.strerror or str(error)).lower()}") from error
