"""Threads that answer calls: spare ones come where work is held, and go again."""

import threading

import pytest

from service.handler_threads import HandlerThreads
from tests.operations.conftest import wait_until


class Held:
    """Work that holds its thread until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def __call__(self) -> None:
        self.begun.release()
        self.go.wait(20)


class Event:
    """As grpc.server's: has a call, which the threads may cancel."""

    def __init__(self) -> None:
        self.call = self
        self.cancelled: list[tuple[int, str]] = []

    def cancel(self, code: int, details: str) -> None:
        self.cancelled.append((code, details))


def thread_count() -> int:
    return sum(thread.name.startswith("handler-") for thread in threading.enumerate())


def test_work_behind_held_work_is_done_and_the_spare_threads_go():
    before, held, done = thread_count(), Held(), threading.Event()
    with HandlerThreads(2, 20) as handlers:
        for _ in range(6):
            handlers.submit(held)
        handlers.submit(done.set)
        assert done.wait(20)
        assert thread_count() >= before + 7
        held.go.set()

        def is_back() -> bool:
            handlers.submit(int)
            return thread_count() == before + 2

        wait_until(is_back)
    assert thread_count() == before


def test_there_are_never_more_threads_than_the_most():
    before, held, done = thread_count(), Held(), threading.Event()
    with HandlerThreads(1, 20, most=3) as handlers:
        for _ in range(5):
            handlers.submit(held)
        handlers.submit(done.set)
        for _ in range(3):
            assert held.begun.acquire(timeout=20)
        assert not held.begun.acquire(timeout=0.3)
        assert thread_count() == before + 3
        assert handlers.waiting == 3
        held.go.set()
        assert done.wait(20)


def test_work_that_takes_too_long_is_cancelled_once_and_told_of(caplog):
    event, release = Event(), threading.Event()
    with HandlerThreads(1, 0.2) as handlers:
        handlers.submit(lambda _event: release.wait(20), event)
        wait_until(lambda: bool(caplog.records))
        release.set()
    assert event.cancelled == [(4, "the call took longer than the server's maximum")]
    assert "1 calls were cut off" in caplog.text


def test_threads_survive_a_cancel_that_fails(caplog):
    class Broken(Event):
        def cancel(self, code: int, details: str) -> None:
            raise ValueError("gone")

    release, done = threading.Event(), threading.Event()
    with HandlerThreads(1, 0.2) as handlers:
        handlers.submit(lambda _event: release.wait(20), Broken())
        wait_until(lambda: bool(caplog.records))
        handlers.submit(done.set)
        assert done.wait(20)
        release.set()


@pytest.mark.parametrize("count", [1, 3])
def test_all_threads_end_with_the_block(count):
    before = thread_count()
    with HandlerThreads(count, 20):
        assert thread_count() == before + count
    assert thread_count() == before
