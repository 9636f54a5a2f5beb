"""The threads that answer unary calls, and how many calls wait for one; knows nothing of calls."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Self

# The server has stopped by the time the threads are told to; what they still do is bounded by deadlines.
_JOIN_SECONDS = 5.0


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


class WriterThreads(ThreadPoolExecutor):
    """Threads for calls that wait for a disk or a lock, so that no others wait behind them.

    Beside its own pool grpc.server takes only a ThreadPoolExecutor; next to a write its cost is nothing.
    """

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return self._work_queue.qsize()


class HandlerThreads:
    """A fixed number of threads that take work in order; a context manager that ends them.

    What concurrent.futures.ThreadPoolExecutor does beyond that, a Future for each piece of work above all,
    costs a visible part of a call, and grpc.server has no use for it: it looks at a returned future only to
    count calls, and takes None for an answer.
    """

    def __init__(self, count: int) -> None:
        self._work: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"handler-{number}", daemon=True)
            for number in range(count)
        ]

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return self._work.qsize()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Run `work(*arguments)` on the next free thread."""
        self._work.put((work, arguments))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            work, arguments = item
            work(*arguments)
            del item, work, arguments  # nothing of a call outlives it while this thread waits
