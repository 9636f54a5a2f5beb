"""How much each book was taken up, over all time or lately; knows no reader.

Each interaction adds the weight of its own type or rating; what is taken back later, a dislike or a forgotten
reader subtract nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.compiled import njit, types
from service.domain.interactions import CODE_WEIGHTS, InteractionLog, event_codes

# A batch costs every later count a pass over the catalogue, a merge one sort of what is merged.
_BATCHES_BEFORE_MERGE = 200
# The first batch is sorted again only once the others are a part of it.
_LARGE_PART = 0.1
# Windows begin at whole minutes, so that what was counted for one call serves all others of the minute.
WINDOW_STEP_MICROSECONDS = 60 * 1_000_000
# Shops ask for a day, a week, a month; each is kept at 8 bytes a position.
_MOST_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class PopularityPages:
    """All interactions by time, and their sums; arrays may be read-only and mapped from files."""

    totals: NDArray[np.float64]  # [positions], weighted number of interactions
    times: NDArray[np.int64]  # [e], ascending, microseconds since 1970 UTC
    positions: NDArray[np.int32]  # [e], in the catalogue
    codes: NDArray[np.uint8]  # [e], see `event_codes`

    @classmethod
    def of(cls, log: InteractionLog, positions: NDArray[np.int32], position_count: int) -> "PopularityPages":
        """Take a log whose books stand at these catalogue positions (-1: gone, left out)."""
        times, places, codes = _events(log, positions)
        totals = np.zeros(position_count)
        _count(places, codes, CODE_WEIGHTS, totals)
        return cls(totals, times, places, codes)


_Events = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]  # times, positions, codes


class Popularity:
    """Interactions by time and book. Reading needs no lock; writers take turns (the caller's lock)."""

    def __init__(self, pages: PopularityPages) -> None:
        """Begin with what there was at the start."""
        self._pages = pages
        self._batches: tuple[_Events, ...] = ()
        self._windows: dict[int, NDArray[np.float64]] = {}  # counts of the pages, by the window's begin

    def learn(self, log: InteractionLog, positions: NDArray[np.int32]) -> None:
        """Add interactions whose books stand at these catalogue positions (-1: gone, left out)."""
        self._batches = (*self._batches, _events(log, positions))
        if len(self._batches) > _BATCHES_BEFORE_MERGE:
            first, *others = self._batches
            late = _merged(others)
            if len(late[0]) > _LARGE_PART * len(first[0]):
                self._batches = (_merged([first, late]),)
            else:
                self._batches = (first, late)

    def counts(self, position_count: int, since: int | None = None) -> NDArray[np.float64]:
        """Return the weighted number of interactions of each position, from a time in µs on or ever.

        The time is taken down to the whole minute.
        """
        if since is not None:
            since -= since % WINDOW_STEP_MICROSECONDS
        counted = self._pages.totals if since is None else self._counted_since(since)
        counts = np.zeros(position_count)
        known = min(position_count, len(counted))
        counts[:known] = counted[:known]
        for times, positions, codes in self._batches:
            start = 0 if since is None else int(np.searchsorted(times, since))
            _count(positions[start:], codes[start:], CODE_WEIGHTS, counts)
        return counts

    def _counted_since(self, since: int) -> NDArray[np.float64]:
        # Two threads may both count: the same, once more.
        counts = self._windows.get(since)
        if counts is None:
            pages = self._pages
            counts = np.zeros(len(pages.totals))
            start = int(np.searchsorted(pages.times, since))
            _count(pages.positions[start:], pages.codes[start:], CODE_WEIGHTS, counts)
            if len(self._windows) >= _MOST_WINDOWS:
                self._windows.clear()  # starting anew costs no book-keeping on the way
            self._windows[since] = counts
        return counts


@njit(
    types.void(
        types.Array(types.int32, 1, "C", readonly=True),
        types.Array(types.uint8, 1, "C", readonly=True),
        types.Array(types.float32, 1, "C", readonly=True),
        types.float64[::1],
    ),
    nogil=True,
    cache=True,
)
def _count(positions, codes, weights, counts):
    for event in range(len(positions)):
        # A batch may know of books that were added after the caller took its catalogue.
        if positions[event] < len(counts):
            counts[positions[event]] += weights[codes[event]]


def _merged(batches: Sequence[_Events]) -> _Events:
    times, places, codes = (np.concatenate(column) for column in zip(*batches, strict=True))
    order = np.argsort(times, kind="stable")
    return times[order], places[order], codes[order]


def _events(log: InteractionLog, positions: NDArray[np.int32]) -> _Events:
    known = np.flatnonzero(positions >= 0)
    order = known[np.argsort(log.occurred_at[known], kind="stable")]
    codes = event_codes(log.types, log.ratings)
    return log.occurred_at[order], positions[order], codes[order]


def popular_order(counts: NDArray[np.float64], ids: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return all positions, most popular first, equally popular ones by ascending book id."""
    return np.lexsort((ids, -counts)).astype(np.int32)


def most_popular(
    counts: NDArray[np.float64], ids: NDArray[np.int64], among: NDArray[np.int32], places: int
) -> NDArray[np.int32]:
    """Return so many of these positions in the order of `popular_order`, without sorting all of them."""
    if len(among) > places:
        theirs = counts[among]
        least = np.partition(theirs, len(among) - places)[len(among) - places]
        among = among[theirs >= least]
    return among[np.lexsort((ids[among], -counts[among]))][:places]
