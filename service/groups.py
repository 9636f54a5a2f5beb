"""Joins what concurrent callers want stored into groups, stored one at a time; knows not where."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from service.domain.errors import Unavailable
from service.domain.interactions import Interaction

# Longer than any single write takes; a caller behind this many others is better told to come again.
_LONGEST_WAIT_SECONDS = 5.0
# What is being stored ends by the store's own limits, tried alone once more; this is if those fail.
_LONGEST_STORE_SECONDS = 60.0
_RETRY_SECONDS = 1.0
# One transaction of so many takes about half a second, and what waits for it is as many again.
_MOST_A_GROUP = 20_000
_MOST_WAITING = 40_000


class Turns:
    """A lock that those who wait get in the order in which they came: no one is passed over under load."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self.taken = False

    @contextmanager
    def turn(self, seconds: float = _LONGEST_WAIT_SECONDS) -> Iterator[None]:
        """Keep everybody else out of the block; raises Unavailable where that takes too long."""
        if not self._acquire(seconds):
            raise _too_many()
        try:
            yield
        finally:
            self._release()

    def _acquire(self, seconds: float) -> bool:
        with self._gate:
            if not self.taken:
                self.taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(max(0.0, seconds)):
            return True
        with self._gate:
            if mine.is_set():
                return True  # at the last moment
            self._waiting.remove(mine)
            return False

    def _release(self) -> None:
        with self._gate:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self.taken = False


class _Batch:
    """What one caller wants stored, and what became of it."""

    def __init__(self, interactions: Sequence[Interaction]) -> None:
        self.interactions = interactions
        self.deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        self.leads = False  # whether its caller is the one to store what waits
        self.called = threading.Event()  # to lead, or because it is done
        self.new: list[bool] | None = None
        self.error: BaseException | None = None

    def outcome(self) -> list[bool]:
        if self.error is not None:
            raise self.error
        assert self.new is not None
        return self.new


class Groups:
    """Batches that wait. Those that come while a group is being stored are the next group.

    One of the callers stores it, so that no thread is waited for but theirs.
    """

    def __init__(self, turns: Turns, store: Callable[[Sequence[Interaction]], list[bool]]) -> None:
        """Prepare; `store` stores all or none, in its turn, and tells of each whether it was new."""
        self._turns, self._store = turns, store
        self._gate = threading.Lock()
        self._waiting: deque[_Batch] = deque()
        self._waiting_count = 0
        self._has_leader = False

    def __len__(self) -> int:
        """Count the batches that wait."""
        return len(self._waiting)

    def record(self, interactions: Sequence[Interaction]) -> list[bool]:
        """Have a batch stored, all or none; tell of each interaction whether it was new.

        Raises what `store` raises, and Unavailable where too many wait or the wait gets too long.
        """
        batch = _Batch(interactions)
        self._join(batch)
        if not batch.called.wait(_LONGEST_WAIT_SECONDS):
            if self._withdraw(batch):
                raise _too_many()
            if not batch.called.wait(_LONGEST_STORE_SECONDS):
                raise Unavailable("storing takes too long; it may be done yet", _RETRY_SECONDS)
        if batch.leads:
            self._lead(batch)
        return batch.outcome()

    def _join(self, batch: _Batch) -> None:
        with self._gate:
            if self._waiting_count + len(batch.interactions) > _MOST_WAITING:
                raise _too_many()
            self._waiting.append(batch)
            self._waiting_count += len(batch.interactions)
            if not self._has_leader:
                self._call_next()

    def _call_next(self) -> None:
        # The first of all who wait: so the leader's own batch is in the group that it stores.
        self._has_leader = bool(self._waiting)
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].called.set()

    def _withdraw(self, batch: _Batch) -> bool:
        with self._gate:
            if batch.called.is_set() or batch not in self._waiting:
                return False
            self._remove(batch)
            return True

    def _remove(self, batch: _Batch) -> None:
        self._waiting.remove(batch)
        self._waiting_count -= len(batch.interactions)

    def _lead(self, batch: _Batch) -> None:
        try:
            with self._turns.turn(batch.deadline - time.monotonic()):
                self._store_next()
        except Unavailable:  # no turn was to be had: what fails in it is told to each
            with self._gate:
                self._remove(batch)
            raise
        finally:
            with self._gate:
                self._call_next()

    def _store_next(self) -> None:
        group = self._next()
        try:
            self._store_together(group)
        except Exception as error:  # noqa: BLE001 - told to whom it concerns
            for batch in group:
                if len(group) > 1 and not isinstance(error, Unavailable):
                    # What is wrong with one batch is not the others' concern.
                    try:
                        self._store_together([batch])
                    except Exception as own_error:  # noqa: BLE001
                        batch.error = own_error
                else:
                    batch.error = error
        finally:
            for batch in group:
                batch.called.set()

    def _next(self) -> list[_Batch]:
        group: list[_Batch] = []
        count = 0
        with self._gate:
            while self._waiting:
                size = len(self._waiting[0].interactions)
                if group and count + size > _MOST_A_GROUP:
                    break
                group.append(self._waiting.popleft())
                count += size
            self._waiting_count -= count
        return group

    def _store_together(self, group: Sequence[_Batch]) -> None:
        new = self._store([each for batch in group for each in batch.interactions])
        start = 0
        for batch in group:
            end = start + len(batch.interactions)
            batch.new = new[start:end]
            start = end


def _too_many() -> Unavailable:
    return Unavailable("too many changes are waiting to be stored", _RETRY_SECONDS)
