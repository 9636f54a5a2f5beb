"""The layout of LightGCN's benchmarks turned into this importer's columns; knows no rules for rows.

Each line holds a reader's number and then the numbers of the books they read, first to last. Numbers begin at
0 and ids at 1, so reader and book n become n + 1. The order of a line is kept as time: the first book was
read at the start of the year 2000, each further one a day later. Errors name this importer's columns.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from service.importing.chunks import ROWS_A_CHUNK, Chunk
from service.importing.columns import BOOK_COLUMNS, INTERACTION_COLUMNS, Column
from service.importing.lines import Lines

_START_SECONDS, _STEP_SECONDS = 946_684_800, 86_400


def read_lightgcn(path: Path, columns: tuple[Column, ...]) -> Iterator[Chunk]:
    """Read a file as rows of BOOK_COLUMNS, each book once, or of INTERACTION_COLUMNS; raises ImportFailed."""
    rows = _books if columns is BOOK_COLUMNS else _interactions
    values: list[tuple[object, ...]] = []
    places: list[int] = []
    seen: set[object] = set()
    with Lines(path) as lines:
        for place, line in enumerate(lines, start=1):
            made = rows(line.split(), seen)
            values += made
            places += [place] * len(made)
            if len(values) >= ROWS_A_CHUNK:
                yield _chunk(values, places, columns, lines.byte_count)
                values, places = [], []
        yield _chunk(values, places, columns, lines.byte_count)


def _chunk(
    values: list[tuple[object, ...]], places: list[int], columns: tuple[Column, ...], done_bytes: int
) -> Chunk:
    by_column = list(zip(*values, strict=True)) or [()] * len(columns)
    return Chunk(by_column, partial(list, places), [], done_bytes)


def _books(numbers: list[str], seen: set[object]) -> list[tuple[object, ...]]:
    rows = []
    for number in numbers[1:]:
        book_id = _id(number)
        if book_id not in seen:
            seen.add(book_id)
            rows.append(
                tuple(
                    {"id": book_id, "title": f"Book {number}"}.get(column.name, "") for column in BOOK_COLUMNS
                )
            )
    return rows


def _interactions(numbers: list[str], _seen: set[object]) -> list[tuple[object, ...]]:
    if not numbers:
        return []
    reader_id = _id(numbers[0])
    order = [column.name for column in INTERACTION_COLUMNS]
    filler = ("",) * (len(order) - 2)
    at = order.index("occurred_at") - 2
    return [
        (
            reader_id,
            _id(number),
            *filler[:at],
            _START_SECONDS + place * _STEP_SECONDS,
            *filler[at + 1 :],
        )
        for place, number in enumerate(numbers[1:])
    ]


def _id(number: str) -> object:
    # What is no number stays as it is, for the rules to refuse.
    return int(number) + 1 if number.isascii() and number.isdigit() and len(number) < 19 else number
