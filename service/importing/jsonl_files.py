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
        remaining = iter(lines)
        first = 1
        while texts := _some_lines(remaining, lines):
            numbers: Sequence[int] = range(first, first + len(texts))
            first += len(texts)
            broken: list[BadRow] = []
            objects = _parsed_at_once(texts)
            if objects is None:
                objects, numbers, broken = _parsed_one_by_one(texts, numbers)
            if not set().union(*objects) <= known:
                objects, numbers, unknown = _without_unknown(objects, numbers, known)
                broken += unknown
            if objects or broken:
                values = [[row.get(name) for row in objects] for name in names]
                yield Chunk(values, partial(list, numbers), broken, lines.byte_count)


def _some_lines(remaining: Iterator[str], lines: Lines) -> list[str]:
    some: list[str] = []
    enough_bytes = lines.byte_count + BYTES_A_CHUNK
    # A few at a time: the longest lines allowed would be 50 MB.
    while len(some) < ROWS_A_CHUNK and lines.byte_count <= enough_bytes:
        few = list(islice(remaining, 50))
        some += few
        if not few:
            break
    return some


def _parsed_at_once(texts: Sequence[str]) -> list[dict[str, Any]] | None:
    """Parse lines as one list, in two thirds of the time; None where they may not be an object each.

    Where every line begins with the only brace that opens on it, and as many objects come out as there are
    lines, no line can hold two and no object can span two.
    """
    joined = "".join(texts)
    if (
        not joined.count("{")
        == joined.count("}")
        == len(texts)
        == joined.count("\n{") + joined.startswith("{")
    ):
        return None
    try:
        objects = orjson.loads(f"[{','.join(texts)}]")
    except orjson.JSONDecodeError:
        return None
    return objects if len(objects) == len(texts) and set(map(type, objects)) == {dict} else None


def _parsed_one_by_one(
    texts: Sequence[str], lines: Sequence[int]
) -> tuple[list[dict[str, Any]], list[int], list[BadRow]]:
    objects, numbers, broken = [], [], []
    for number, text in zip(lines, texts, strict=True):
        row = _parsed(text)
        if row is not None:
            objects.append(row)
            numbers.append(number)
        elif text.strip():
            broken.append(BadRow(number, "", quoted(text.strip()), "is not a JSON object"))
    return objects, numbers, broken


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
    objects: list[dict[str, Any]], numbers: Sequence[int], known: frozenset[str]
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
