"""What each reader did, held in memory as arrays; knows neither models nor where interactions are stored."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.interactions import IS_READ_TYPE, InteractionLog, preference_weights


@dataclass(frozen=True, slots=True)
class History:
    """A reader's books, each once, oldest first."""

    positions: NDArray[np.int32]  # [h], in the catalogue
    preferences: NDArray[np.float32]  # [h], 0 to 1: how strongly the book was liked
    read: NDArray[np.bool_]  # [h], whether it was bought, read or rated

    def __len__(self) -> int:
        return len(self.positions)


NO_HISTORY = History(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32), np.empty(0, dtype=np.bool_))


class Histories:
    """Every reader's history: arrays made once from the log, and a small overlay of what came since.

    The overlay holds whole histories, so a reader is looked up in one place or the other, never joined on the
    request path. Reading needs no lock; writers take turns (the caller's lock).
    """

    def __init__(self, log: InteractionLog, positions: NDArray[np.int32]) -> None:
        """Fold a log in time order whose books stand at these catalogue positions (-1: gone, left out)."""
        readers, self._positions, self._preferences, self._read = _fold(
            log.reader_ids, positions, preference_weights(log.types, log.ratings), IS_READ_TYPE[log.types]
        )
        readers, starts = np.unique(readers, return_index=True)
        # Memoryviews are several times quicker than arrays to take single numbers from.
        self._readers = readers.data
        self._starts = np.append(starts, len(self._positions)).data
        self._recent: dict[int, History] = {}

    def __len__(self) -> int:
        """Count readers with a history."""
        changed = [(len(history) > 0) - (len(self._base(reader)) > 0) for reader, history in self._overlay()]
        return len(self._readers) + sum(changed)

    def _overlay(self) -> list[tuple[int, History]]:
        return list(self._recent.items())  # a copy: a writer may add meanwhile

    def of(self, reader_id: int) -> History:
        """Return a reader's history, an empty one for a reader never seen."""
        recent = self._recent.get(reader_id)
        return self._base(reader_id) if recent is None else recent

    def news_of(self, reader_id: int) -> History | None:
        """Return what a reader's history has become since the start: another object after every change."""
        return self._recent.get(reader_id)

    def _base(self, reader_id: int) -> History:
        place = bisect_left(self._readers, reader_id)
        if place == len(self._readers) or self._readers[place] != reader_id:
            return NO_HISTORY
        span = slice(self._starts[place], self._starts[place + 1])
        return History(self._positions[span], self._preferences[span], self._read[span])

    def learn(self, log: InteractionLog, positions: NDArray[np.int32]) -> None:
        """Add interactions in their order; arguments as for the constructor."""
        preferences = preference_weights(log.types, log.ratings)
        read = IS_READ_TYPE[log.types]
        for reader_id in np.unique(log.reader_ids).tolist():
            news = np.flatnonzero(log.reader_ids == reader_id)
            before = self.of(reader_id)
            joined = np.append(before.positions, positions[news])
            _, *columns = _fold(
                np.zeros(len(joined), dtype=np.int64),
                joined,
                np.append(before.preferences, preferences[news]),
                np.append(before.read, read[news]),
            )
            self._recent[reader_id] = History(*columns)  # type: ignore[arg-type] # one dtype each

    def forget(self, reader_id: int) -> None:
        """Drop everything known of a reader."""
        self._recent[reader_id] = NO_HISTORY


def _fold(
    readers: NDArray[np.int64],
    positions: NDArray[np.int32],
    preferences: NDArray[np.float32],
    read: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_]]:
    """Join interactions in time order into one row a reader and book, sorted by reader, then by last time.

    The strongest preference counts, and a book that was read stays read.
    """
    known = np.flatnonzero(positions >= 0)
    order = known[np.lexsort((known, positions[known], readers[known]))]
    if not len(order):
        return readers[:0], positions[:0], preferences[:0], read[:0]
    sorted_readers, sorted_positions = readers[order], positions[order]
    differs = (np.diff(sorted_readers) != 0) | (np.diff(sorted_positions) != 0)
    starts = np.append(0, np.flatnonzero(differs) + 1)
    strongest = np.maximum.reduceat(preferences[order], starts)
    ever_read = np.logical_or.reduceat(read[order], starts)
    last = order[np.append(starts[1:], len(order)) - 1]
    by_time = np.lexsort((last, sorted_readers[starts]))
    rows = starts[by_time]
    return sorted_readers[rows], sorted_positions[rows], strongest[by_time], ever_read[by_time]
