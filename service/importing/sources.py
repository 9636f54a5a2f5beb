"""Which format a file has, and who reads it; knows neither the domain nor what rows mean."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from service.importing.chunks import Chunk
from service.importing.columns import BOOK_COLUMNS, Column
from service.importing.problems import ImportFailed

FORMATS = ("csv", "jsonl", "parquet", "goodbooks", "lightgcn")

_ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst", ".zip", ".7z"}


def format_of(path: Path, chosen: str | None) -> str:
    """Return a file's format, by its ending unless chosen; raises ImportFailed, also for what is no file."""
    if chosen is not None and chosen not in FORMATS:
        raise ImportFailed(f'{path}: format "{chosen}" is not one of {", ".join(FORMATS)}')
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
        elif layout == "goodbooks" and columns is BOOK_COLUMNS:
            from service.importing.goodbooks import read_goodbooks

            yield from read_goodbooks(path)
        elif layout == "goodbooks":
            from service.importing.goodbooks_ratings import read_goodbooks_ratings

            yield from read_goodbooks_ratings(path)
        elif layout == "lightgcn":
            from service.importing.lightgcn import read_lightgcn

            yield from read_lightgcn(path, tuple(columns))
        else:
            from service.importing.csv_files import read_csv

            yield from read_csv(path, columns)
    except OSError as error:
        raise ImportFailed(f"{path} cannot be read: {error.strerror or error}") from error
