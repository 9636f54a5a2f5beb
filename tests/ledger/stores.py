"""A database that can be away, for tests of what is put before it; knows nothing of journals."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from service.domain.errors import Unavailable
from service.domain.interactions import Interaction
from service.storage import Database, Reading


class Store:
    """A real SQLite database; while it `is_away`, nothing can be read or written."""

    def __init__(self, file: Path, database: Database) -> None:
        self._file, self.database = file, database
        self.is_away = False
        self.loses_answers = False  # stores what it is given, and then is away
        self.records_left: int | None = None  # goes away after so many

    def record(self, interactions: Sequence[Interaction]) -> list[int]:
        if self.records_left is not None:
            self.is_away = not self.records_left
            self.records_left -= 1
        self._refuse_while_away()
        sequences = self.database.record(interactions)
        self.is_away = self.loses_answers
        self._refuse_while_away()
        return sequences

    def forget_reader(self, reader_id: int) -> int:
        self._refuse_while_away()
        return self.database.forget_reader(reader_id)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        self._refuse_while_away()
        with self.database.reading() as reading:
            yield reading

    def _refuse_while_away(self) -> None:
        if self.is_away:
            raise Unavailable("away", 1.0)

    @property
    def mark(self) -> str:
        with self.database.reading() as reading:
            return reading.mark

    @property
    def stored(self) -> list[str]:
        """The ids of all interactions, in the order in which they were stored."""
        connection = sqlite3.connect(self._file)
        try:
            rows = connection.execute("SELECT interaction_id FROM interactions ORDER BY sequence").fetchall()
        finally:
            connection.close()
        return [name for (name,) in rows]
