"""Moves what waited in a journal into the database; knows no files.

A reader who was forgotten while their interactions waited stays forgotten: whatever a journal holds of them
was recorded before it could be known.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from service.domain.interactions import Interaction
from service.journal_records import JournalError, Record
from service.storage import Reading, StorageError


class Store(Protocol):
    """What is needed of a database."""

    def record(self, interactions: Sequence[Interaction]) -> list[int]: ...
    def forget_reader(self, reader_id: int) -> int: ...
    def reading(self) -> AbstractContextManager[Reading]: ...


class Replayed(NamedTuple):
    """What became of a lot: its interactions but those of forgotten readers, with their new numbers or 0."""

    interactions: list[Interaction]
    sequences: list[int]


def replay(store: Store, lot: Sequence[Record]) -> Replayed:
    """Store records in their order; what the database has already stays as it is.

    Raises Unavailable, and JournalError where the database cannot tell who was forgotten meanwhile.
    """
    marks = {record.mark for record in lot}
    gone = _forgotten_since(store, marks)
    kept = [each for record in lot for each in record.interactions if each.reader_id not in gone[record.mark]]
    sequences = store.record(kept)
    # Forgotten in the moment between the question and the storing: once more, and everybody is told.
    readers = {each.reader_id for each in kept}
    late = {
        reader_id
        for mark, forgotten in _forgotten_since(store, marks).items()
        for reader_id in forgotten - gone[mark]
    }
    for reader_id in late & readers:
        store.forget_reader(reader_id)
    return Replayed(kept, sequences)


def _forgotten_since(store: Store, marks: set[str]) -> dict[str, set[int]]:
    with store.reading() as reading:
        try:
            return {mark: set(reading.news(mark).forgotten_reader_ids) for mark in marks}
        except StorageError as error:
            raise JournalError(
                f"who was forgotten since it was written cannot be told ({error}); move it away"
            ) from error
