"""How interactions stand in a journal's file; knows neither when they are written nor what becomes of them.

A file begins with a line of JSON that says what it is, and of which database. Each line behind it is a
record: the CRC-32 of the rest in hexadecimal, a blank, and one group as JSON: up to where the database was
known, and the rows. A broken line costs nothing but itself, because the next one begins where it ends.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import fields
from enum import Enum
from operator import attrgetter
from typing import Any, BinaryIO, NamedTuple

import orjson

from service.domain.interactions import Interaction, InteractionType
from service.failure import Failure

_FORMAT, _FORMAT_VERSION = "recommendations journal", 1
_LONGEST_HEADER_BYTES = 4096
# A group is some megabytes at most; a longer line was never written.
_LONGEST_LINE_BYTES = 64 * 1024 * 1024

_row = attrgetter(*(field.name for field in fields(Interaction)))


class JournalError(Failure):
    """One line that names a file or the directory and what is wrong with it."""


class Record(NamedTuple):
    """A group of interactions, and the mark up to where the database was known when it was written."""

    mark: str
    interactions: list[Interaction]


class Damage(Enum):
    """A line that is no record."""

    TORN = "torn"  # at the end: its process died while it wrote, and nothing of it was acknowledged
    BROKEN = "broken"  # not as it was written


def header(database: str) -> bytes:
    """Return the first line of a journal of a database."""
    said = {"format": _FORMAT, "format_version": _FORMAT_VERSION, "database": database}
    return json.dumps(said).encode() + b"\n"


def read_header(file: BinaryIO, name: str, database: str) -> None:
    """Read the first line of a file; raises JournalError where it is no journal of this database."""
    line = file.readline(_LONGEST_HEADER_BYTES)
    if header(database).startswith(line.rstrip(b"\0")):
        return  # also where its process died over it
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("format") != _FORMAT:
        raise JournalError(f"{name}: is not a journal; move it away")
    if said.get("format_version") != _FORMAT_VERSION:
        raise JournalError(
            f"{name}: has format version {said.get('format_version')!r}, this program reads"
            f" {_FORMAT_VERSION}; start the release that wrote it once"
        )
    raise JournalError(
        f"{name}: is of the database {said.get('database')}, not of {database};"
        " start a service on that database, or move the file away"
    )


def encoded(record: Record) -> bytes:
    """Return a record as a line."""
    payload = orjson.dumps([record.mark, list(map(_row, record.interactions))])
    return b"%b %b\n" % (_checksum(payload), payload)


def read_records(file: BinaryIO) -> Iterator[Record | Damage]:
    """Read the records from where a file stands."""
    while line := file.readline(_LONGEST_LINE_BYTES):
        checksum, _, rest = line.partition(b" ")
        # The last line's end may be missing, or another byte by now.
        payload = next((each for each in (rest[:-1], rest) if checksum == _checksum(each)), None)
        if payload is not None:
            mark, rows = orjson.loads(payload)
            yield Record(mark, list(map(_interaction, rows)))
        else:
            yield Damage.BROKEN if line.endswith(b"\n") else Damage.TORN


def _checksum(payload: bytes) -> bytes:
    return b"%08x" % zlib.crc32(payload)


def _interaction(row: Sequence[Any]) -> Interaction:
    interaction_id, reader_id, book_id, kind, occurred_at, rating, recommendation_id = row
    return Interaction(
        interaction_id, reader_id, book_id, InteractionType(kind), occurred_at, rating, recommendation_id
    )
