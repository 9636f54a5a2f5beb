"""Interactions folded into one cell a reader and book; knows nothing of what is learned from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.folding import fold_all
from service.domain.interactions import (
    DEFAULT_WEIGHTS,
    IS_READ_TYPE,
    InteractionLog,
    InteractionWeights,
    event_codes,
)
from service.training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Cells:
    """The reader-by-book matrix by coordinates, sorted by reader, then book; n cells, r readers."""

    reader_ids: NDArray[np.int64]  # [r], ascending
    readers: NDArray[np.int64]  # [n], positions in reader_ids
    books: NDArray[np.int64]  # [n], positions in the catalogue
    preferences: NDArray[np.float32]  # [n], how strongly the book was liked, or disliked, -1 to 1
    last: NDArray[np.int64]  # [n], ascending in time among a reader's cells

    def __len__(self) -> int:
        return len(self.readers)

    def take(self, chosen: NDArray) -> "Cells":
        """Return the cells where this mask is true, of the same readers."""
        return Cells(
            self.reader_ids,
            self.readers[chosen],
            self.books[chosen],
            self.preferences[chosen],
            self.last[chosen],
        )

    def counts(self) -> NDArray[np.int64]:
        """Return the number of cells of each reader."""
        return np.bincount(self.readers, minlength=len(self.reader_ids))

    def latest(self, longest_history: int) -> "Cells":
        """Return the cells without those of each reader that are older than this many others."""
        counts = self.counts()
        if not len(counts) or counts.max() <= longest_history:
            return self
        by_time = np.lexsort((self.last, self.readers))
        ends = np.cumsum(counts)[self.readers[by_time]]
        kept = np.empty(len(self), dtype=bool)
        kept[by_time] = ends - np.arange(len(self)) <= longest_history
        return self.take(kept)


def positions_of(book_ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of each wanted id in the catalogue's ascending ids, -1 where there is none."""
    if not len(book_ids):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(book_ids, wanted), len(book_ids) - 1)
    return np.where(book_ids[places] == wanted, places, -1)


def fold(
    log: InteractionLog, book_ids: NDArray[np.int64], weights: InteractionWeights = DEFAULT_WEIGHTS
) -> Cells:
    """Fold a log into cells; interactions with books that are not in the catalogue are left out.

    Raises TrainingError for a type of interaction that has no weight.
    """
    if len(log) and log.types.max() >= len(IS_READ_TYPE):
        raise TrainingError(f"interactions: {log.types.max()} is not a type (1 to {len(IS_READ_TYPE) - 1})")
    log = log.by_time()
    books = positions_of(book_ids, log.book_ids)
    known = np.flatnonzero(books >= 0)
    known = known[np.argsort(log.reader_ids[known], kind="stable")]
    reader_ids, firsts = np.unique(log.reader_ids[known], return_index=True)
    starts, positions, preferences, _read, _unwanted = fold_all(
        np.append(firsts, len(known)).astype(np.int64),
        books[known].astype(np.int32),
        event_codes(log.types[known], log.ratings[known]),
        log.occurred_at[known],
        weights,
    )
    readers = np.repeat(np.arange(len(reader_ids)), np.diff(starts))
    # A reader's books lie in time order: a cell's place among them tells as much as its moment.
    order = np.lexsort((positions, readers))
    return Cells(reader_ids, readers[order], positions[order].astype(np.int64), preferences[order], order)
