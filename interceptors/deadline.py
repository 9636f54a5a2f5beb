"""Hold every RPC to the tighter of its caller's deadline and the server's maximum.

Must not know what a method does with its time.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from interceptors.call import Call, Method
from interceptors.chain import Interceptor, Proceed
from interceptors.status import StatusError

# A stream that moves ends itself, with a clear status, at the first message after its time; only one that is
# still open this much later is cut off from outside.
CUT_OFF_GRACE_SECONDS = 0.5


def deadline_of(context: Any) -> float:
    """Return when the RPC must be done, on the clock of time.monotonic; for long handlers to look at."""
    return context.deadline


class Deadline(Interceptor):
    """Set `call.deadline`, start nothing when no time is left, and end what takes longer.

    A unary RPC may take `unary_seconds`, any stream `stream_seconds`. Python cannot interrupt a thread: a
    unary handler that is late has its answer replaced by DEADLINE_EXCEEDED, as if the caller had stopped
    waiting. A stream ends with DEADLINE_EXCEEDED between two messages; an idle one is cancelled from
    outside, by which a blocked read of requests ends too. grpc lets a server only reset such a stream, so
    its client sees CANCELLED; the log and the metrics still say DeadlineExceeded.
    """

    def __init__(self, unary_seconds: float, stream_seconds: float):
        self._unary_seconds = unary_seconds
        self._stream_seconds = stream_seconds
        self._cut_off = _CutOff(stream_seconds + CUT_OFF_GRACE_SECONDS)

    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        def unary(call: Call, request: Any) -> Any:
            _start(call, self._unary_seconds)
            response = proceed(call, request)
            _check(call)
            return response

        def checked(call: Call, messages: Iterator[Any]) -> Iterator[Any]:
            for message in messages:
                _check(call)
                yield message

        def incoming(call: Call, request: Any) -> Any:
            return checked(call, request) if method.request_streaming else request

        def client_stream(call: Call, request: Any) -> Any:
            _start(call, self._stream_seconds)
            with self._cut_off.watching(call):
                response = proceed(call, incoming(call, request))
            _check(call)
            return response

        def stream(call: Call, request: Any) -> Iterator[Any]:
            _start(call, self._stream_seconds)
            with self._cut_off.watching(call):
                yield from checked(call, proceed(call, incoming(call, request)))
            _check(call)

        if method.response_streaming:
            return stream
        return client_stream if method.request_streaming else unary


def _start(call: Call, most_seconds: float) -> None:
    remaining = call.context.time_remaining()
    if remaining is None or remaining > most_seconds:
        remaining = most_seconds
    if remaining <= 0:
        raise StatusError(
            grpc.StatusCode.DEADLINE_EXCEEDED, "no time left: the call was not started", reason="NO_TIME_LEFT"
        )
    call.deadline = call.context.deadline = time.monotonic() + remaining


def _check(call: Call) -> None:
    if time.monotonic() >= call.deadline:
        raise StatusError(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "the call took longer than its deadline or the server's maximum",
            reason="DEADLINE_PASSED",
        )


class _CutOff:
    """Cancels streams a fixed time after they began.

    One thread does it, which lives while there is something to watch. The time is the same for all, so the
    order of arrival is the order of expiry.
    """

    def __init__(self, after_seconds: float):
        self._after_seconds = after_seconds
        self._lock = threading.Lock()
        self._due: OrderedDict[Call, float] = OrderedDict()
        self._running = False

    @contextmanager
    def watching(self, call: Call) -> Iterator[None]:
        with self._lock:
            self._due[call] = time.monotonic() + self._after_seconds
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="stream-cut-off", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._due.pop(call, None)

    def _run(self) -> None:
        wait_seconds: float | None = self._after_seconds
        while wait_seconds is not None:
            time.sleep(wait_seconds)
            expired, wait_seconds = self._expire(time.monotonic())
            for call in expired:
                call.context.cancel()

    def _expire(self, now: float) -> tuple[list[Call], float | None]:
        """Return the calls whose time is up and the seconds until the next one; None ends the thread."""
        expired: list[Call] = []
        with self._lock:
            while self._due:
                call, due = next(iter(self._due.items()))
                if due > now:
                    return expired, due - now
                del self._due[call]
                expired.append(call)
            self._running = False
            return expired, None
