"""How much each book was taken up, over all time or lately; knows no reader.

Each interaction adds the weight of its own type or rating; what is taken back later, a dislike or a forgotten
reader subtract nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.compiled import njit, types
from service.domain.interactions import (
    DEFAULT_WEIGHTS,
    InteractionLog,
    InteractionWeights,
    event_codes,
)

# A batch costs every later count a pass over the catalogue, a merge one sort of what is merged.
_BATCHES_BEFORE_MERGE = 200
# The first batch is sorted again only once the others are a part of it.
_LARGE_PART = 0.1
# Windows begin at whole minutes, so that what was counted for one call serves all others of the minute.
WINDOW_STEP_MICROSECONDS = 60 * 1_000_000
# Shops ask for a day, a week, a month; each is kept at 8 bytes a position.
_MOST_SPANS = 8
# What counts less than a millionth of a new interaction is not looked at.
_MOST_HALF_LIVES = 20


class Span(NamedTuple):
    """From when to when interactions count, and how fast they lose weight; times in µs since 1970 UTC."""

    since: int | None = None
    until: int | None = None
    half_life: int | None = None  # µs; None: all count alike
    now: int = 0  # from when ages are counted back

    def in_whole_minutes(self) -> "Span":
        """Return it with all times taken down to the whole minute, and without what no longer counts."""
        now = _minute(self.now)
        since = self.since
        if self.half_life is not None:
            since = max(since or 0, now - _MOST_HALF_LIVES * self.half_life)
        return Span(
            None if since is None else _minute(since),
            None if self.until is None else _minute(self.until),
            self.half_life,
            now if self.half_life is not None else 0,
        )


EVER = Span()


def _minute(time: int) -> int:
    return time - time % WINDOW_STEP_MICROSECONDS


@dataclass(frozen=True, slots=True)
class PopularityPages:
    """All interactions by time, and their sums; arrays may be read-only and mapped from files."""

    totals: NDArray[np.float64]  # [positions], number of interactions by the default weights
    times: NDArray[np.int64]  # [e], ascending, microseconds since 1970 UTC
    positions: NDArray[np.int32]  # [e], in the catalogue
    codes: NDArray[np.uint8]  # [e], see `event_codes`

    @classmethod
    def of(cls, log: InteractionLog, positions: NDArray[np.int32], position_count: int) -> "PopularityPages":
        """Take a log whose books stand at these catalogue positions (-1: gone, left out)."""
        times, places, codes = _events(log, positions)
        totals = np.zeros(position_count)
        _count(places, codes, DEFAULT_WEIGHTS.codes, totals)
        return cls(totals, times, places, codes)


_Events = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]  # times, positions, codes


class Popularity:
    """Interactions by time and book. Reading needs no lock; writers take turns (the caller's lock)."""

    def __init__(self, pages: PopularityPages, weights: InteractionWeights = DEFAULT_WEIGHTS) -> None:
        """Begin with what there was at the start."""
        if not np.array_equal(weights.codes, DEFAULT_WEIGHTS.codes):
            totals = np.zeros(len(pages.totals))
            _count(pages.positions, pages.codes, weights.codes, totals)
            pages = replace(pages, totals=totals)
        self._pages, self._weights = pages, weights.codes
        self._batches: tuple[_Events, ...] = ()
        self._spans: dict[Span, NDArray[np.float64]] = {}  # counts of the pages

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

    def counts(self, position_count: int, span: Span = EVER) -> NDArray[np.float64]:
        """Return the weighted number of interactions of each position in a span of time."""
        span = span.in_whole_minutes()
        counted = self._pages.totals if span == EVER else self._counted(span)
        counts = np.zeros(position_count)
        known = min(position_count, len(counted))
        counts[:known] = counted[:known]
        for events in self._batches:
            _count_span(events, span, self._weights, counts)
        return counts

    def _counted(self, span: Span) -> NDArray[np.float64]:
        # Two threads may both count: the same, once more.
        counts = self._spans.get(span)
        if counts is None:
            pages = self._pages
            counts = np.zeros(len(pages.totals))
            _count_span((pages.times, pages.positions, pages.codes), span, self._weights, counts)
            if len(self._spans) >= _MOST_SPANS:
                self._spans.clear()  # starting anew costs no book-keeping on the way
            self._spans[span] = counts
        return counts


def _count_span(
    events: _Events, span: Span, weights: NDArray[np.float32], counts: NDArray[np.float64]
) -> None:
    times, positions, codes = events
    start = 0 if span.since is None else int(np.searchsorted(times, span.since))
    end = len(times) if span.until is None else int(np.searchsorted(times, span.until))
    if span.half_life is None:
        _count(positions[start:end], codes[start:end], weights, counts)
    else:
        _count_decayed(
            positions[start:end],
            codes[start:end],
            times[start:end],
            weights,
            span.now,
            span.half_life,
            counts,
        )


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


@njit(
    types.void(
        types.Array(types.int32, 1, "C", readonly=True),
        types.Array(types.uint8, 1, "C", readonly=True),
        types.Array(types.int64, 1, "C", readonly=True),
        types.Array(types.float32, 1, "C", readonly=True),
        types.int64,
        types.int64,
        types.float64[::1],
    ),
    nogil=True,
    cache=True,
)
def _count_decayed(positions, codes, times, weights, now, half_life, counts):
    for event in range(len(positions)):
        if positions[event] < len(counts):
            half_lives = max(now - times[event], 0) / half_life
            counts[positions[event]] += weights[codes[event]] * np.exp2(-half_lives)


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
