"""Where an export goes: which format, and a file that is there whole or not at all; knows no rows."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from service.exporting.problems import ExportFailed

# Parquet has its table of contents at the end and its length in it: it is no stream.
STREAMED_FORMATS = ("csv", "jsonl")
FORMATS = (*STREAMED_FORMATS, "parquet")

_ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def format_of(path: Path, chosen: str | None) -> str:
    """Return the format that a file gets, by its ending unless chosen; raises ExportFailed."""
    ending = path.suffix.lower()
    if chosen is None and ending not in _ENDINGS:
        known = ", ".join(_ENDINGS)
        raise ExportFailed(f"{path}: its ending is none of {known}; name it so or say --format")
    return chosen or _ENDINGS[ending]


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Open a file that appears under its name, on the disk, when the block ends well, and else never.

    One that is there already is replaced with `force` alone. Raises ExportFailed where it cannot be written.
    """
    _check(path, force)
    partial = path.with_name(f".{path.name}-{secrets.token_hex(4)}.partial")
    try:
        try:
            with partial.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if force:
                partial.replace(path)
            else:
                _rename_unless_there(partial, path)
            _sync_folder(path.parent)
        finally:
            with suppress(OSError):
                partial.unlink()
    except OSError as error:
        raise ExportFailed(f"{path} cannot be written: {error.strerror or error}") from error


def _check(path: Path, force: bool) -> None:
    if path.is_dir():
        raise ExportFailed(f"{path} is a folder, not a file")
    if not path.parent.is_dir():
        raise ExportFailed(f"{path}: there is no folder {path.parent}; make it first")
    if path.exists() and not path.is_file():
        raise ExportFailed(f'{path} is not a regular file; "-" is standard output')
    if path.exists() and not force:
        raise _is_there(path)


def _is_there(path: Path) -> ExportFailed:
    return ExportFailed(f"{path} is there already; --force replaces it")


def _rename_unless_there(partial: Path, path: Path) -> None:
    try:
        # Unlike a rename it never replaces what somebody else has put there meanwhile.
        path.hardlink_to(partial)
    except FileExistsError:
        raise _is_there(path) from None
    except OSError:  # a file system without links
        if path.exists():
            raise _is_there(path) from None
        partial.rename(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
