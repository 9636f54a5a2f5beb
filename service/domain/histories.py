"""What each reader did, held in memory as arrays; knows neither models nor where interactions are stored."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.folding import fold_all
from service.domain.interactions import InteractionLog, event_codes
from service.domain.repeats import repeated

# Events wait until the reader is asked about; more than these are merged, which bounds what is copied.
_MOST_WAITING = 64
# Folding so many takes a tenth of a millisecond: the histories of the few readers who have more are kept.
_MANY_EVENTS = 4096
_MOST_KEPT = 64  # at 10 bytes a book


@dataclass(frozen=True, slots=True)
class History:
    """A reader's books as they count now, each once, oldest first."""

    positions: NDArray[np.int32]  # [h], in the catalogue
    preferences: NDArray[np.float32]  # [h], -1 to 1: how strongly the book was liked, or disliked
    read: NDArray[np.bool_]  # [h], whether it was bought, read or rated
    unwanted: NDArray[np.bool_]  # [h], whether the reader said they are not interested

    def __len__(self) -> int:
        return len(self.positions)


class _Events(NamedTuple):
    """Everything that a reader did, in time order; columns of one length."""

    positions: NDArray[np.int32]
    codes: NDArray[np.uint8]
    times: NDArray[np.int64]  # microseconds since 1970 UTC

    def take(self, chosen: slice | NDArray) -> "_Events":
        return _Events(self.positions[chosen], self.codes[chosen], self.times[chosen])


@dataclass(frozen=True, slots=True)
class EventPages:
    """What all readers did, each thing once; arrays may be read-only and mapped from files."""

    reader_ids: NDArray[np.int64]  # [r], ascending
    starts: NDArray[np.int64]  # [r + 1], where each reader's events begin in the others
    positions: NDArray[np.int32]  # [e], in the catalogue
    codes: NDArray[np.uint8]  # [e], see `event_codes`
    times: NDArray[np.int64]  # [e], microseconds since 1970 UTC, ascending for each reader

    @classmethod
    def of(cls, log: InteractionLog, positions: NDArray[np.int32]) -> "EventPages":
        """Take a log in time order whose books stand at these catalogue positions (-1: gone, left out)."""
        known = np.flatnonzero(positions >= 0)
        order = known[np.argsort(log.reader_ids[known], kind="stable")]
        codes = event_codes(log.types, log.ratings)
        again = repeated(log.reader_ids[order], log.occurred_at[order], positions[order], codes[order])
        order = order[~again]
        reader_ids, starts = np.unique(log.reader_ids[order], return_index=True)
        starts = np.append(starts, len(order)).astype(np.int64)
        return cls(reader_ids, starts, positions[order], codes[order], log.occurred_at[order])


NO_HISTORY = History(
    np.empty(0, dtype=np.int32),
    np.empty(0, dtype=np.float32),
    np.empty(0, dtype=np.bool_),
    np.empty(0, dtype=np.bool_),
)
_NO_EVENTS = _Events(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.int64))
_Event = tuple[int, int, int]  # position, code, time


class _Changed:
    """A reader who did something since the start; another object after every change."""

    __slots__ = ("_events", "_history", "_waiting")

    def __init__(self, events: _Events, waiting: tuple[_Event, ...] = ()) -> None:
        self._events, self._waiting = events, waiting
        self._history: History | None = None

    def after(self, news: Iterable[_Event]) -> "_Changed":
        """Return what the reader is after these events, which may be late."""
        waiting = (*self._waiting, *news)
        if len(waiting) <= _MOST_WAITING:
            return _Changed(self._events, waiting)
        return _Changed(_merged(self._events, waiting))

    def __bool__(self) -> bool:
        """Tell whether the reader ever did something."""
        return bool(self._waiting) or len(self._events.times) > 0

    @property
    def history(self) -> History:
        # Two threads may both work it out: the same, once more.
        if self._history is None:
            self._history = _folded(_merged(self._events, self._waiting))
        return self._history


class Histories:
    """Every reader's history: arrays made once from the log, and a small overlay of what came since.

    Events are kept as they came, because one that comes late, an undo above all, takes its place by its
    time. Reading needs no lock; writers take turns (the caller's lock).
    """

    def __init__(self, pages: EventPages) -> None:
        """Begin with what there was at the start."""
        self._events = _Events(pages.positions, pages.codes, pages.times)
        # Memoryviews are several times quicker than arrays to take single numbers from.
        self._readers, self._starts = pages.reader_ids.data, pages.starts.data
        self._changed: dict[int, _Changed] = {}
        self._new_count = 0
        self._kept: dict[int, History] = {}  # of readers with many events, none of them since the start

    def __len__(self) -> int:
        """Count readers who ever did something and are not forgotten."""
        return len(self._readers) + self._new_count

    def of(self, reader_id: int) -> History:
        """Return a reader's history, an empty one for a reader never seen."""
        changed = self._changed.get(reader_id)
        if changed is not None:
            return changed.history
        # Two threads may both work it out: the same, once more.
        history = self._kept.get(reader_id)
        if history is None:
            events = self._base(reader_id)
            # Each thing once: folded without times, their pages stay out of memory.
            history = _folded(events._replace(times=_NO_EVENTS.times))
            if len(events.times) >= _MANY_EVENTS:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.clear()  # starting anew costs no book-keeping on the way
                self._kept[reader_id] = history
        return history

    def news_of(self, reader_id: int) -> object:
        """Return what stands for a reader's doings since the start: another object after every change."""
        return self._changed.get(reader_id)

    def _base(self, reader_id: int) -> _Events:
        place = bisect_left(self._readers, reader_id)
        if place == len(self._readers) or self._readers[place] != reader_id:
            return _NO_EVENTS
        span = slice(self._starts[place], self._starts[place + 1])
        return self._events.take(span)

    def learn(self, log: InteractionLog, positions: NDArray[np.int32]) -> None:
        """Add interactions, in the order in which they came, whose books stand at these positions."""
        by_reader: dict[int, list[_Event]] = {}
        codes = event_codes(log.types, log.ratings)
        for reader_id, position, code, time in zip(
            log.reader_ids.tolist(), positions.tolist(), codes.tolist(), log.occurred_at.tolist(), strict=True
        ):
            if position >= 0:
                by_reader.setdefault(reader_id, []).append((position, code, time))
        for reader_id, news in by_reader.items():
            before = self._now(reader_id)
            self._put(reader_id, before, before.after(news))

    def _now(self, reader_id: int) -> _Changed:
        changed = self._changed.get(reader_id)
        return _Changed(self._base(reader_id)) if changed is None else changed

    def replace(self, reader_id: int, log: InteractionLog, positions: NDArray[np.int32]) -> None:
        """Let this log, in the order in which it came, be all that a reader ever did."""
        news = zip(
            positions.tolist(),
            event_codes(log.types, log.ratings).tolist(),
            log.occurred_at.tolist(),
            strict=True,
        )
        only_these = _Changed(_NO_EVENTS).after(each for each in news if each[0] >= 0)
        self._put(reader_id, self._now(reader_id), only_these)

    def forget(self, reader_id: int) -> None:
        """Drop everything known of a reader."""
        self._put(reader_id, self._now(reader_id), _Changed(_NO_EVENTS))

    def _put(self, reader_id: int, before: _Changed, after: _Changed) -> None:
        self._new_count += bool(after) - bool(before)
        self._changed[reader_id] = after
        self._kept.pop(reader_id, None)


def _merged(events: _Events, news: tuple[_Event, ...]) -> _Events:
    if not news:
        return events
    positions, codes, times = zip(*news, strict=True)
    joined = _Events(
        np.append(events.positions, np.array(positions, dtype=np.int32)),
        np.append(events.codes, np.array(codes, dtype=np.uint8)),
        np.append(events.times, np.array(times, dtype=np.int64)),
    )
    order = np.argsort(joined.times, kind="stable")  # of one instant: as they came
    return joined.take(order)


def _folded(events: _Events) -> History:
    if not len(events.positions):
        return NO_HISTORY
    starts = np.array([0, len(events.positions)], dtype=np.int64)
    return History(*fold_all(starts, *events)[1:])
