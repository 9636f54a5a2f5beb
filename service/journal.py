"""Interactions on the disk while the database is away; knows neither the database nor who recorded them.

A file begins with a line of JSON that says what it is, and of which database. Behind it stand records: the
length and the CRC-32 of a payload, then the payload, one group of interactions as a JSON list of rows.
"""

import fcntl
import json
import logging
import os
import secrets
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Self

import orjson

from service.domain.errors import Unavailable
from service.domain.interactions import Interaction, InteractionType
from service.failure import Failure

_FORMAT, _FORMAT_VERSION = "recommendations journal", 1
_ENDING = ".journal"
_FRAME = struct.Struct("<II")
# A group is some megabytes at most; a length beyond this was never written.
_LONGEST_PAYLOAD_BYTES = 64 * 1024 * 1024
_LONGEST_HEADER_BYTES = 4096
# Space and rights need an operator, the database may be back any moment.
_RETRY_SECONDS = 10.0

_log = logging.getLogger("recommendations.journal")

_row = attrgetter(*(field.name for field in fields(Interaction)))

Group = list[Interaction]


class JournalError(Failure):
    """One line that names a file or the directory and what is wrong with it."""


class Journal:
    """The journal of this process in a directory, and those of processes that died; a context manager.

    Not thread-safe: the ledger's turn guards it. Whatever was appended is on the disk when `append` returns,
    and stays there until `take` has handed it on.
    """

    def __init__(self, directory: Path, database: str, most_bytes: int) -> None:
        """Prepare for a database of this identity."""
        self._directory, self._database, self._most_bytes = directory, database, most_bytes
        self._file: BinaryIO | None = None  # this process's own, made when it is needed
        self._path: Path | None = None
        self._end = 0
        self._read_to = 0
        self._ids: set[str] = set()

    def __enter__(self) -> Self:
        """Make the directory where needed; raises JournalError where it cannot be written."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            probe = self._directory / f".probe-{secrets.token_hex(8)}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise JournalError(f"{self._directory}: {(error.strerror or str(error)).lower()}") from None
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._file is not None:
            self._file.close()  # and with it the lock: the next process takes what is left

    @property
    def size_bytes(self) -> int:
        """How long this process's file is, 0 while there is none."""
        return self._end

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be handed on."""
        return self._file is None

    def new_among(self, interactions: Sequence[Interaction]) -> list[bool]:
        """Tell which ones are not in the journal yet, nor earlier among these."""
        seen = set(self._ids)
        new = []
        for each in interactions:
            new.append(each.interaction_id not in seen)
            seen.add(each.interaction_id)
        return new

    def append(self, interactions: Sequence[Interaction]) -> None:
        """Put a group on the disk; raises Unavailable where there is no room, and leaves nothing of it."""
        if not interactions:
            return
        payload = orjson.dumps(list(map(_row, interactions)))
        record = _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        if self._end + len(record) > self._most_bytes:
            raise Unavailable("the database is away and the journal is full", _RETRY_SECONDS)
        try:
            file = self._file or self._made()
            _write_whole(file, record)
            os.fsync(file.fileno())
        except OSError as error:
            _log.error("journal %s cannot be written: %s", self._directory, error.strerror or error)
            self._cut_back()
            raise Unavailable(
                "the database is away and the journal cannot be written", _RETRY_SECONDS
            ) from None
        self._end += len(record)
        self._ids.update(each.interaction_id for each in interactions)

    def _made(self) -> BinaryIO:
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}{_ENDING}"
        header = {"format": _FORMAT, "format_version": _FORMAT_VERSION, "database": self._database}
        line = json.dumps(header).encode() + b"\n"
        path = self._directory / name
        file: BinaryIO = path.open("x+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_whole(file, line)
            _sync_directory(self._directory)
        except OSError:
            file.close()
            path.unlink(missing_ok=True)
            raise
        self._file, self._path = file, path
        self._end = self._read_to = len(line)
        return file

    def _cut_back(self) -> None:
        if self._file is not None:
            self._file.truncate(self._end)
            self._file.seek(self._end)

    def take(self, store: Callable[[Group], object]) -> int:
        """Hand the next group on, in order; returns how many interactions that were, 0 when none are left.

        The file goes once `store` has returned for its last group. What `store` raises leaves all as it was.
        """
        if self._file is None or self._path is None:
            return 0
        groups = _groups(self._path, self._read_to)
        group, end = next(groups, ([], self._end))
        store(group)
        self._read_to = end
        if self._read_to >= self._end:
            self._path.unlink()
            self._file.close()
            self._file = self._path = None
            self._end = self._read_to = 0
            self._ids.clear()
        return len(group)

    def adopt(self, store: Callable[[Group], object]) -> int:
        """Hand on what processes left that died; returns how many interactions that were.

        Raises JournalError for a journal of another database or format, which is left as it is. A torn end,
        of which nothing was acknowledged, is passed over. Where a record inside is broken, the others are
        handed on and the file stays, renamed.
        """
        count = 0
        for path in sorted(self._directory.glob(f"*{_ENDING}")):
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # its process lives
                if not path.exists():
                    continue  # its process has just ended with it
                start = self._header_end(path, file)
                broken = 0
                for group, _ in _groups(path, start):
                    if not group:
                        broken += 1
                        continue
                    store(group)
                    count += len(group)
                if broken:
                    aside = path.with_suffix(".broken")
                    path.rename(aside)
                    _log.error(
                        "journal %s: %d records inside are broken; the others are stored", aside, broken
                    )
                else:
                    path.unlink()
        return count

    def _header_end(self, path: Path, file: BinaryIO) -> int:
        line = file.readline(_LONGEST_HEADER_BYTES)
        try:
            header = json.loads(line)
        except ValueError:
            header = None
        if not line:
            return 0  # its process died before the first record
        if not isinstance(header, dict) or header.get("format") != _FORMAT:
            raise JournalError(f"{path}: is not a journal; move it away")
        if header.get("format_version") != _FORMAT_VERSION:
            raise JournalError(
                f"{path}: has format version {header.get('format_version')!r}, this program reads"
                f" {_FORMAT_VERSION}; start the release that wrote it once"
            )
        if header.get("database") != self._database:
            raise JournalError(
                f"{path}: is of the database {header.get('database')}, not of {self._database};"
                " start a service on that database, or move the file away"
            )
        return len(line)


def _groups(path: Path, start: int) -> Iterator[tuple[Group, int]]:
    """Read the groups behind a place, each with the place of its end; an empty one for a broken record."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(start)
        while True:
            frame = file.read(_FRAME.size)
            if len(frame) < _FRAME.size:
                if frame:
                    _log.warning("journal %s: a torn end is cut off; nothing of it was acknowledged", path)
                return
            length, checksum = _FRAME.unpack(frame)
            end = file.tell() + length
            if length > _LONGEST_PAYLOAD_BYTES or end > size:
                _log.warning("journal %s: a torn end is cut off; nothing of it was acknowledged", path)
                return
            payload = file.read(length)
            if zlib.crc32(payload) == checksum:
                yield [_interaction(row) for row in orjson.loads(payload)], end
            elif end == size:
                _log.warning("journal %s: a torn end is cut off; nothing of it was acknowledged", path)
                return
            else:
                yield [], end


def _write_whole(file: BinaryIO, content: bytes) -> None:
    # Without a buffer, which would try again what the disk refused.
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _interaction(row: Sequence[Any]) -> Interaction:
    interaction_id, reader_id, book_id, kind, occurred_at, rating, recommendation_id = row
    return Interaction(
        interaction_id, reader_id, book_id, InteractionType(kind), occurred_at, rating, recommendation_id
    )


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
