"""Interactions on the disk while the database is away; knows neither the database nor who recorded them."""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from service.domain.errors import Unavailable
from service.domain.interactions import Interaction
from service.journal_records import JournalError, Record, encoded, header
from service.journal_unread import Unread

_ENDING = ".journal"
# Space and rights need an operator, the database may be back any moment.
_RETRY_SECONDS = 10.0

_log = logging.getLogger("recommendations.journal")


class Journal:
    """The journal of this process in a directory, and those of processes that died; a context manager.

    Not thread-safe: the ledger's turn guards it. Whatever was appended is on the disk when `append` returns,
    and stays there until `take` has handed it on.
    """

    def __init__(self, directory: Path, database: str, most_bytes: int) -> None:
        """Prepare for a database of this identity."""
        self._directory, self._database, self._most_bytes = directory, database, most_bytes
        self.mark = ""  # up to where the database is known: written with whatever is appended
        self._file: BinaryIO | None = None  # this process's own, made when it is needed
        self._unread: Unread | None = None
        self._end = 0
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

    # Writing

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
        line = encoded(Record(self.mark, list(interactions)))
        if self._end + len(line) > self._most_bytes:
            raise Unavailable("the database is away and the journal is full", _RETRY_SECONDS)
        try:
            file = self._file or self._made()
            _write_whole(file, line)
            os.fsync(file.fileno())
        except OSError as error:
            _log.error("journal %s cannot be written: %s", self._directory, error.strerror or error)
            self._cut_back()
            raise Unavailable(
                "the database is away and the journal cannot be written", _RETRY_SECONDS
            ) from None
        self._end += len(line)
        self._ids.update(each.interaction_id for each in interactions)

    def _made(self) -> BinaryIO:
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}{_ENDING}"
        line = header(self._database)
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
        self._file, self._unread, self._end = file, Unread(path, len(line)), len(line)
        return file

    def _cut_back(self) -> None:
        if self._file is not None:
            self._file.truncate(self._end)
            self._file.seek(self._end)

    # Handing on

    def take(self, store: Callable[[Sequence[Record]], object]) -> None:
        """Hand the next lot on, in order.

        The file goes once `store` has returned for the last one. What `store` raises leaves all as it was.
        """
        if self._file is None or self._unread is None:
            return
        self._unread.hand_on(store)
        if self._unread.position >= self._end:
            self._unread.clear_away()
            self._file.close()
            self._file = self._unread = None
            self._end = 0
            self._ids.clear()

    def adopt(self, store: Callable[[Sequence[Record]], object]) -> None:
        """Hand on what processes left that died.

        Raises JournalError for a journal of another database or format, which is left as it is.
        """
        for path in sorted(self._directory.glob(f"*{_ENDING}")):
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # its process lives
                if not path.exists():
                    continue  # its process has just ended with it
                unread = Unread.left_behind(path, self._database)
                while unread.hand_on(store):
                    pass
                unread.clear_away()


def _write_whole(file: BinaryIO, content: bytes) -> None:
    # Without a buffer, which would try again what the disk refused.
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
