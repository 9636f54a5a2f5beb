"""JSON Lines (UTF-8, an object a line) as chunks of rows; knows nothing of what columns mean."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from service.domain.books import quoted
from service.importing.chunks import BYTES_A_CHUNK, ROWS_A_CHUNK, Chunk
from service.importing.columns import Column
from service.importing.lines import Lines
from service.importing.problems import BadRow


def read_jsonl(path: Path, columns: Sequence[Column]) -> Iterator[Chunk]:
    """Read a JSON Lines file; raises ImportFailed where its text is not UTF-8."""
    names = [column.name for column in columns]
    known = frozenset(names)
    with Lines(path) as lines:
        numbered = enumerate(lines, start=1)
        ended = False
        while not ended:
            ended = True
            objects: list[dict[str, Any]] = []
            numbers: list[int] = []
            broken: list[BadRow] = []
            enough_bytes = lines.byte_count + BYTES_A_CHUNK
            for number, text in islice(numbered, ROWS_A_CHUNK):
                ended = False
                row = _parsed(text)
                if row is not None:
                    objects.append(row)
                    numbers.append(number)
                elif text.strip():
                    broken.append(BadRow(number, "", quoted(text.strip()), "is not a JSON object"))
                if lines.byte_count > enough_bytes:
                    break
            if not set().union(*objects) <= known:
                objects, numbers, unknown = _without_unknown(objects, numbers, known)
                broken += unknown
            if objects or broken:
                values = [[row.get(name) for row in objects] for name in names]
                yield Chunk(values, partial(list, numbers), broken, lines.byte_count)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            row = json.loads(text)  # also takes NaN, which then breaks the rule of its column by name
        except (ValueError, RecursionError):  # ValueError: no JSON, or a number of thousands of digits
            return None
    return row if type(row) is dict else None


def _without_unknown(
    objects: list[dict[str, Any]], numbers: list[int], known: frozenset[str]
) -> tuple[list[dict[str, Any]], list[int], list[BadRow]]:
    kept, kept_numbers, broken = [], [], []
    for number, row in zip(numbers, objects, strict=True):
        if row.keys() <= known:
            kept.append(row)
            kept_numbers.append(number)
        else:
            unknown = next(name for name in row if name not in known)
            broken.append(BadRow(number, "", quoted(unknown), "is not a known column"))
    return kept, kept_numbers, broken
