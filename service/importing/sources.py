"""Files as chunks of rows, whatever their format; knows neither the domain nor what rows mean."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.importing.columns import Column
from service.importing.problems import BadRow, ImportFailed

FORMATS = ("csv", "jsonl", "parquet", "goodbooks")

_ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst", ".zip", ".7z"}

# So many rows are parsed, checked and stored at a time: enough to make each step's own cost small.
ROWS_A_CHUNK = 10_000
# Rows are rarely above a few hundred bytes; a file of huge ones is taken in smaller lots to bound memory.
BYTES_A_CHUNK = 8 * 2**20


@dataclass(slots=True)
class Chunk:
    """Some rows as columns of one length, in the order of the columns asked for."""

    columns: Sequence[Sequence[Any]]
    # Line or row numbers, worked out only where an error names one.
    places: Callable[[], Sequence[int]]
    # Rows that could not be taken apart.
    broken: list[BadRow]
    done_bytes: int
    unit: str = "line"


def format_of(path: Path, chosen: str | None, formats: Sequence[str]) -> str:
    """Return a file's format, by its ending unless chosen; raises ImportFailed, also for what is no file."""
    if chosen is not None and chosen not in formats:
        raise ImportFailed(f'{path}: format "{chosen}" is not one of {", ".join(formats)}')
    ending = path.suffix.lower()
    if path.is_dir():
        raise ImportFailed(f"{path} is a folder, not a file")
    if not path.exists():
        raise ImportFailed(f"{path} does not exist")
    if not path.is_file():
        raise ImportFailed(f"{path} is not a regular file")
    if ending in _COMPRESSED:
        raise ImportFailed(f"{path} is compressed ({ending}); decompress it first")
    if chosen is None and ending not in _ENDINGS:
        known = ", ".join(_ENDINGS)
        raise ImportFailed(f"{path}: its ending is none of {known}; rename it or say --format")
    if not path.stat().st_size:
        raise ImportFailed(f"{path} is empty")
    return chosen or _ENDINGS[ending]


def chunks_of(path: Path, layout: str, columns: Sequence[Column]) -> Iterator[Chunk]:
    """Read a file's rows; raises ImportFailed where it cannot be read as what it should be.

    A column that is not asked for refuses the file.
    """
    try:
        if layout == "parquet":
            from service.importing.parquet_files import read_parquet  # pyarrow is slow to import

            yield from read_parquet(path, columns)
        elif layout == "jsonl":
            from service.importing.jsonl_files import read_jsonl

            yield from read_jsonl(path, columns)
        elif layout == "goodbooks":
            from service.importing.goodbooks import read_goodbooks

            yield from read_goodbooks(path)
        else:
            from service.importing.csv_files import read_csv

            yield from read_csv(path, columns)
    except OSError as error:
        raise ImportFailed(f"{path} cannot be read: {error.strerror or error}") from error


def check_header(path: Path, found: Sequence[str], columns: Sequence[Column], *, extra: bool = False) -> None:
    """Raise ImportFailed where a file's columns are not those that it should have."""
    known = [column.name for column in columns]
    for name in found:
        if name not in known and not extra:
            raise ImportFailed(f'{path}: unknown column "{name[:60]}"; known are {", ".join(known)}')
        if found.count(name) > 1 and name in known:
            raise ImportFailed(f'{path}: column "{name}" is there twice')
    missing = [column.name for column in columns if column.required and column.name not in found]
    if missing:
        raise ImportFailed(f"{path}: required column {', '.join(missing)} is missing")
