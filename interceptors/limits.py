"""Refuse work beyond what the server, or one caller's share of it, can carry.

Must not know which methods write or are exempt, nor who the callers are beyond their names.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from interceptors.call import UNKNOWN_METHOD, Call, Method
from interceptors.chain import Interceptor, Proceed
from interceptors.status import StatusError

MAX_BUCKETS = 10_000  # identities seen lately; far above the clients of one shop
BUSY_RETRY_SECONDS = 0.1  # unary work is done in milliseconds, so a place is soon free
WRITES_RETRY_SECONDS = 1.0  # so many wait only where a disk or a lock is slow
STREAMS_RETRY_SECONDS = 1.0  # streams last longer


class Limits(Interceptor):
    """Admit `requests_per_second` with bursts of `burst` from each identity, and so much work at once.

    An RPC takes one token, a stream too, whatever it carries. At most `max_in_flight` unary RPCs,
    `max_writes` of those that `is_write` and `max_streams` streams are inside at a time, and each takes
    nothing from the others: writes that wait for a disk leave all places to what is answered from memory.
    Each open stream holds a thread; one identity may hold half of them, or one. RPCs that `waiting` counts,
    those that have come but have no thread yet, are in flight too. Refusals are RESOURCE_EXHAUSTED with the
    time to come back after; `on_refused` is told "rate", "in_flight", "writes" or "streams".
    """

    def __init__(
        self,
        requests_per_second: float,
        burst: int,
        max_in_flight: int,
        *,
        max_streams: int,
        max_writes: int = 1,
        is_write: Callable[[Method], bool] = lambda method: False,
        waiting: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        on_refused: Callable[[str], object] = lambda kind: None,
    ):
        self._buckets = _Buckets(requests_per_second, burst)
        self._clock = clock
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._unary = _Places("in_flight", "calls", max_in_flight, BUSY_RETRY_SECONDS, waiting)
        self._writes = _Places("writes", "changes", max_writes, WRITES_RETRY_SECONDS)
        self._is_write = is_write
        self._streams = _Places("streams", "streams", max_streams, STREAMS_RETRY_SECONDS)
        self._streams.most_each = max(1, max_streams // 2)

    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        places = self._places_of(method)

        def unary(call: Call, request: Any) -> Any:
            name = self._enter(call, places)
            try:
                return proceed(call, request)
            finally:
                self._leave(places, name)

        def stream(call: Call, request: Any) -> Iterator[Any]:
            name = self._enter(call, places)
            try:
                yield from proceed(call, request)
            finally:
                self._leave(places, name)

        return stream if method.response_streaming else unary

    def _places_of(self, method: Method) -> "_Places":
        # An unknown method streams as far as grpc is concerned, but it is answered at once.
        if (method.request_streaming or method.response_streaming) and method != UNKNOWN_METHOD:
            return self._streams
        return self._writes if self._is_write(method) else self._unary

    def _enter(self, call: Call, places: "_Places") -> str:
        """Take a place, and return the name that it is taken under."""
        name = call.identity.name if call.identity is not None else ""
        with self._lock:
            refusal = places.refusal(name)
            wait_seconds = 0.0 if refusal else self._buckets.take(name, self._clock())
            if not refusal and not wait_seconds:
                places.take(name)
                return name
        if refusal:
            self._on_refused(places.kind)
            raise StatusError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                refusal,
                reason="SERVER_BUSY",
                retry_seconds=places.retry_seconds,
            )
        self._on_refused("rate")
        raise StatusError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"too many requests: {self._buckets.rate:g} a second with bursts of {self._buckets.burst} "
            f"is the limit of each client",
            reason="RATE_LIMITED",
            retry_seconds=wait_seconds,
        )

    def _leave(self, places: "_Places", name: str) -> None:
        with self._lock:
            places.give_back(name)


class _Places:
    """How much of one sort of work may be inside, and of one name's where `most_each` is set."""

    def __init__(
        self,
        kind: str,
        noun: str,
        most: int,
        retry_seconds: float,
        waiting: Callable[[], int] = lambda: 0,
    ):
        if most < 1:
            raise ValueError(f"limit of {noun} at a time is {most}: must be at least 1")
        self.kind, self.noun, self.most, self.retry_seconds = kind, noun, most, retry_seconds
        self.most_each: int | None = None
        self.taken = 0
        self._waiting = waiting
        self._taken_by: Counter[str] = Counter()  # kept where most_each is set

    def refusal(self, name: str) -> str:
        """Tell why there is no place; nothing where there is one."""
        if self.taken + self._waiting() >= self.most:
            return f"the server is busy: {self.most} {self.noun} at a time is its limit"
        if self.most_each is not None and self._taken_by[name] >= self.most_each:
            return (
                f"too many {self.noun}: {self.most_each} of the server's {self.most} at a time is the limit "
                f"of each client"
            )
        return ""

    def take(self, name: str) -> None:
        self.taken += 1
        if self.most_each is not None:
            self._taken_by[name] += 1

    def give_back(self, name: str) -> None:
        self.taken -= 1
        if self.most_each is not None:
            self._taken_by[name] -= 1
            if not self._taken_by[name]:
                del self._taken_by[name]  # names come and go; the table holds those inside


class _Buckets:
    """A token bucket for each name; the table is bounded, and the name unused for longest goes first.

    That bucket is full again if it was unused for burst / rate seconds; if not, one burst is all that its
    owner gains.
    """

    def __init__(self, rate: float, burst: int):
        if rate <= 0 or burst < 1:
            raise ValueError(f"rate {rate:g}/s with burst {burst}: must be above 0 and at least 1")
        self.rate, self.burst = rate, burst
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> tokens, at that time

    def take(self, name: str, now: float) -> float:
        """Take one token, or return after how many seconds there will be one."""
        held = self._held.get(name)
        if held is None:
            if len(self._held) >= MAX_BUCKETS:
                self._held.popitem(last=False)
            tokens: float = self.burst
        else:
            self._held.move_to_end(name)
            tokens = min(self.burst, held[0] + (now - held[1]) * self.rate)
        if tokens < 1:
            return (1 - tokens) / self.rate
        self._held[name] = (tokens - 1, now)
        return 0.0
