"""What every format's reader hands on: some rows at a time, as columns; knows no format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.importing.columns import Column
from service.importing.problems import BadRow, ImportFailed

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
