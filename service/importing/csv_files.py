"""CSV (RFC 4180, UTF-8, a header line) as chunks of rows; knows nothing of what columns mean."""

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from service.importing.chunks import BYTES_A_CHUNK, ROWS_A_CHUNK, Chunk, check_header
from service.importing.columns import Column
from service.importing.lines import Lines
from service.importing.problems import BadRow, ImportFailed


def read_csv(path: Path, columns: Sequence[Column], *, extra: bool = False) -> Iterator[Chunk]:
    """Read a CSV file; raises ImportFailed for a wrong header and for a quote that is never closed."""
    with Lines(path) as lines:
        reader = csv.reader(lines, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise ImportFailed(f"{path}, line 1: the header is not CSV: {error}") from None
        if not any(header):
            raise ImportFailed(f"{path}, line 1: the header names no columns")
        check_header(path, header, columns, extra=extra)
        found = [header.index(column.name) if column.name in header else None for column in columns]
        while True:
            first = reader.line_num + 1
            rows, failure = _some_rows(reader, lines)
            if not rows and failure is None:
                return
            whole: list[list[str]] = rows
            places: Callable[[], Sequence[int]] = partial(_line_numbers, first, rows)
            broken: list[BadRow] = []
            if set(map(len, rows)) != {len(header)}:
                whole, places, broken = _without_broken(first, rows, len(header))
            if failure is not None:
                broken.append(_broken_record(path, _line_numbers(first, [*rows, []])[-1], failure))
            cells = list(zip(*whole, strict=True)) or [()] * len(header)
            absent = [None] * len(whole)
            chosen = [absent if place is None else cells[place] for place in found]
            yield Chunk(chosen, places, broken, lines.byte_count)


def _some_rows(reader: Iterator[list[str]], lines: Lines) -> tuple[list[list[str]], csv.Error | None]:
    rows: list[list[str]] = []
    enough_bytes = lines.byte_count + BYTES_A_CHUNK
    try:
        for row in islice(reader, ROWS_A_CHUNK):
            rows.append(row)
            if lines.byte_count > enough_bytes:
                break
    except csv.Error as error:
        return rows, error
    return rows, None


def _line_numbers(first: int, rows: Sequence[Sequence[str]]) -> list[int]:
    """Number the lines on which records begin: most take one line, each line end inside a field adds one."""
    numbers, line = [], first
    for row in rows:
        numbers.append(line)
        line += 1 + sum(cell.count("\n") for cell in row)
    return numbers


def _without_broken(
    first: int, rows: list[list[str]], width: int
) -> tuple[list[list[str]], Callable[[], list[int]], list[BadRow]]:
    whole: list[list[str]] = []
    numbers: list[int] = []
    broken: list[BadRow] = []
    for line, row in zip(_line_numbers(first, rows), rows, strict=True):
        if len(row) == width:
            whole.append(row)
            numbers.append(line)
        elif row:  # an empty line is no row
            rule = f"fields are not the {width} that the header names"
            broken.append(BadRow(line, "", str(len(row)), rule))
    return whole, lambda: numbers, broken


def _broken_record(path: Path, line: int, failure: csv.Error) -> BadRow:
    # Both swallow whatever follows: skipping the record would lose good rows unseen.
    reason = str(failure)
    if "unexpected end of data" in reason:
        raise ImportFailed(f"{path}, line {line}: a quote that opens in this row is never closed")
    if "field larger than field limit" in reason:
        raise ImportFailed(
            f"{path}, line {line}: a field is longer than {csv.field_size_limit()} characters,"
            " or its quote is never closed"
        )
    if "new-line character" in reason:
        rule = "has a carriage return outside quotes; lines end with LF or CR LF"
    else:
        rule = "has a quote inside a field; double it and put the field in quotes"
    return BadRow(line, "", "", rule)
