"""CSV (RFC 4180, UTF-8, a header line) and JSON Lines out of lots of rows; knows not what columns mean."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import orjson

from service.exporting import texts
from service.exporting.columns import Column, Lot


def write_csv(file: BinaryIO, columns: Sequence[Column], lots: Iterable[Lot]) -> None:
    """Write rows with a header; None is an empty field."""
    _write_lines(file, [[column.name for column in columns]])
    for lot in lots:
        fields = [_as_text(column, values) for column, values in zip(columns, lot, strict=True)]
        _write_lines(file, zip(*fields, strict=True))


def _write_lines(file: BinaryIO, rows: Iterable[Iterable[Any]]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows(rows)
    file.write(written.getvalue().encode())


def _as_text(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if column.kind == "texts":
        return list(map(texts.joined, values))
    return texts.moments(values) if column.kind == "moment" else values


def write_jsonl(file: BinaryIO, columns: Sequence[Column], lots: Iterable[Lot]) -> None:
    """Write an object a line."""
    names = [column.name for column in columns]
    for lot in lots:
        fields = [
            texts.moments(values) if column.kind == "moment" else values
            for column, values in zip(columns, lot, strict=True)
        ]
        rows = zip(*fields, strict=True)
        lines = [
            orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE) for row in rows
        ]
        file.write(b"".join(lines))
