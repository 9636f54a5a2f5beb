"""How much each book was taken up, over all time or lately; knows no reader."""

import numpy as np
from numpy.typing import NDArray

from service.domain.interactions import InteractionLog, preference_weights

# A batch costs every later count a pass over the catalogue, a merge one sort of all interactions.
_BATCHES_BEFORE_MERGE = 200

_Events = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]  # times, positions, weights


class Popularity:
    """Interactions by time and book. Reading needs no lock; writers take turns (the caller's lock)."""

    def __init__(self, log: InteractionLog, positions: NDArray[np.int32]) -> None:
        """Count a log whose books stand at these catalogue positions (-1: gone, left out)."""
        self._batches: tuple[_Events, ...] = (_events(log, positions),)

    def learn(self, log: InteractionLog, positions: NDArray[np.int32]) -> None:
        """Add interactions; arguments as for the constructor."""
        self._batches = (*self._batches, _events(log, positions))
        if len(self._batches) > _BATCHES_BEFORE_MERGE:
            times, places, weights = (np.concatenate(column) for column in zip(*self._batches, strict=True))
            order = np.argsort(times, kind="stable")
            self._batches = ((times[order], places[order], weights[order]),)

    def counts(self, position_count: int, since: int | None = None) -> NDArray[np.float64]:
        """Return the weighted number of interactions of each position, from a time in µs on or ever."""
        counts = np.zeros(position_count)
        for times, positions, weights in self._batches:
            start = 0 if since is None else int(np.searchsorted(times, since))
            # Cut: a batch may know of books that were added after the caller took its catalogue.
            counted = np.bincount(positions[start:], weights[start:], minlength=position_count)
            counts += counted[:position_count]
        return counts


def _events(log: InteractionLog, positions: NDArray[np.int32]) -> _Events:
    known = np.flatnonzero(positions >= 0)
    order = known[np.argsort(log.occurred_at[known], kind="stable")]
    return log.occurred_at[order], positions[order], preference_weights(log.types, log.ratings)[order]


def popular_order(counts: NDArray[np.float64], ids: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return all positions, most popular first, equally popular ones by ascending book id."""
    return np.lexsort((ids, -counts)).astype(np.int32)
