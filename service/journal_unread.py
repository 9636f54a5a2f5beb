"""What is left to be handed on of a journal's file, whoever wrote it; knows nothing of writing."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from service.journal_records import Damage, JournalError, Record, read_header, read_records

# What is handed on at a time: one transaction, in which whoever writes waits.
_LOT_INTERACTIONS = 5_000

_log = logging.getLogger("recommendations.journal")


class Unread:
    """A file and the place up to which its records were handed on.

    A torn end is passed over. Where a record inside is broken, the others are handed on and the file stays,
    renamed.
    """

    def __init__(self, path: Path, position: int) -> None:
        """Begin at a place in a file."""
        self._path, self.position = path, position
        self._broken_count = 0

    @classmethod
    def left_behind(cls, path: Path, database: str) -> Self:
        """Begin with the first record of a file; raises JournalError where it is no journal of a database."""
        with path.open("rb") as file:
            read_header(file, str(path), database)
            return cls(path, file.tell())

    def hand_on(self, store: Callable[[Sequence[Record]], object]) -> bool:
        """Hand the next records on; tell whether there were any. What `store` raises leaves all as it was."""
        lot: list[Record] = []
        count = broken_count = 0
        with self._path.open("rb") as file:
            file.seek(self.position)
            for record in read_records(file):
                if record is Damage.TORN:
                    _log.warning(
                        "journal %s: a torn end is cut off; nothing of it was acknowledged", self._path
                    )
                elif record is Damage.BROKEN:
                    broken_count += 1
                else:
                    lot.append(record)
                    count += len(record.interactions)
                if count >= _LOT_INTERACTIONS:
                    break
            position = file.tell()
        if lot:
            try:
                store(lot)
            except JournalError as error:
                raise JournalError(f"{self._path}: {error}") from error
        self.position = position
        self._broken_count += broken_count
        return bool(lot)

    def clear_away(self) -> None:
        """Remove the file, of which all was handed on that could be read; else put it aside."""
        if not self._broken_count:
            self._path.unlink()
            return
        aside = self._path.with_suffix(".broken")
        self._path.rename(aside)
        _log.error(
            "journal %s: %d records are broken, and the others are stored; it holds what readers did:"
            " delete it once you have looked at it",
            aside,
            self._broken_count,
        )
