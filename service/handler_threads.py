"""The threads that answer unary calls, and how many calls wait for one; knows nothing of what calls do."""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Self

import grpc

log = logging.getLogger("recommendations.handlers")

# The server has stopped by the time the threads are told to; what they still do is bounded by deadlines.
_JOIN_SECONDS = 5.0
# An answer takes a few milliseconds. What holds its thread for longer waits: for a client that has not sent
# its message, for a disk or a lock. Whoever comes next waits about this long behind it.
_HELD_SECONDS = 0.1
_LOOK_SECONDS = 0.05
_LOG_SECONDS = 1.0  # a client that does this does it often: one line a second tells as much as a thousand

_Work = tuple[Callable[..., Any], tuple[Any, ...]]


def on_pool(
    behaviour: Callable[..., Any], pool: ThreadPoolExecutor, *, non_blocking: bool = False
) -> Callable[..., Any]:
    """Return a behaviour that grpc.server runs on threads of `pool` instead of its own."""

    def behave(*arguments: Any) -> Any:
        return behaviour(*arguments)

    # grpc/_server.py reads these attributes; a bound method can have none.
    behave.experimental_thread_pool = pool  # type: ignore[attr-defined]
    behave.experimental_non_blocking = non_blocking  # type: ignore[attr-defined]
    return behave


class HandlerThreads(ThreadPoolExecutor):
    """`count` threads that take work in order, and spare ones for those held; a context manager.

    grpc.server takes a thread for a unary call before the client's message has come, and before any
    interceptor is asked: a few clients that send no message would hold them all. So whatever holds its
    thread for a tenth of a second gets a spare one started in its place, up to `most` threads in all, and
    is cancelled after `longest_seconds`.

    What concurrent.futures.ThreadPoolExecutor does beyond that, a Future for each piece of work above all,
    costs a visible part of a call, and grpc.server has no use for it: it looks at a returned future only to
    count calls, and takes None for an answer. It is one in name, because grpc.server runs a behaviour on
    threads of its own only where those are a ThreadPoolExecutor's.
    """

    def __init__(self, count: int, longest_seconds: float, most: int = 64) -> None:
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._numbers = itertools.count()
        self._count, self._longest_seconds, self._most = count, longest_seconds, max(most, count)
        self._handlers: list[_Handler] = []
        self._ending = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="handlers-watchdog", daemon=True)
        self._cut_off_count, self._logged_at = 0, -_LOG_SECONDS

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return self._work.qsize()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> None:  # type: ignore[override]
        """Run `work(*arguments)` on the next free thread."""
        self._work.put((work, arguments))

    def __enter__(self) -> Self:
        for _ in range(self._count):
            self._start_one()
        self._watchdog.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ending.set()
        deadline = time.monotonic() + _JOIN_SECONDS
        self._watchdog.join(_JOIN_SECONDS)
        for _ in self._handlers:
            self._work.put(None)
        for handler in self._handlers:
            handler.join(max(0.0, deadline - time.monotonic()))

    def _start_one(self) -> None:
        handler = _Handler(self._work, f"handler-{next(self._numbers)}")
        handler.start()
        self._handlers.append(handler)

    def _watch(self) -> None:
        while not self._ending.wait(_LOOK_SECONDS):
            try:
                self._look(time.monotonic())
            except Exception:  # without its watchdog the service would be held up by the next such client
                log.exception("the handlers' threads could not be looked after")
                self._ending.wait(_LOG_SECONDS)

    def _look(self, now: float) -> None:
        self._handlers = [handler for handler in self._handlers if handler.is_alive()]
        held = [
            (handler, doing)
            for handler in self._handlers
            if (doing := handler.doing) is not None and now - doing.began > _HELD_SECONDS
        ]
        for _, doing in held:
            if now - doing.began > self._longest_seconds and not doing.cut_off:
                doing.cut_off = True
                self._cut_off_count += _cancel(doing.arguments)
        # After the cutting off, which must go on where the system gives no more threads.
        for handler, _ in held:
            if not handler.replaced and len(self._handlers) < self._most:
                self._start_one()
                # It ends after its work. Should that have ended just now, then after the next: never early.
                handler.replaced = True
        if self._cut_off_count and now - self._logged_at >= _LOG_SECONDS:
            log.warning(
                "%d calls were cut off: they held a thread for more than %g seconds",
                self._cut_off_count,
                self._longest_seconds,
            )
            self._cut_off_count, self._logged_at = 0, now


class _Doing:
    """A piece of work, and since when it is being done."""

    __slots__ = ("arguments", "began", "cut_off")

    def __init__(self, began: float, arguments: tuple[Any, ...]) -> None:
        self.began, self.arguments, self.cut_off = began, arguments, False


class _Handler(threading.Thread):
    """One thread: does what comes until it gets None, or has been replaced by a spare one.

    `doing` is written by the thread and `replaced` by the watchdog, each in one piece: no lock is needed.
    """

    def __init__(self, work: "SimpleQueue[_Work | None]", name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self.doing: _Doing | None = None
        self.replaced = False

    def run(self) -> None:
        while not self.replaced and (item := self._work.get()) is not None:
            work, arguments = item
            self.doing = _Doing(time.monotonic(), arguments)
            work(*arguments)
            self.doing = None
            del item, work, arguments  # nothing of a call outlives it while this thread waits


def _cancel(arguments: tuple[Any, ...]) -> bool:
    """End the call that grpc.server handed over with these arguments, and tell whether there was one.

    grpc/_server.py passes the event that the call came with, whose `call` is what a context's cancel() ends;
    before the message has come there is no context, so this is the only handle. The client is told
    DEADLINE_EXCEEDED, and a thread that waits for the message wakes up. A call that is over takes no harm.
    """
    for argument in arguments:
        cancel = getattr(getattr(argument, "call", None), "cancel", None)
        if cancel is not None:
            cancel(
                grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "the call took longer than the server's maximum"
            )
            return True
    return False
