"""The time of a process; knows nothing of what is dated by it."""

import time
from collections.abc import Callable


def microseconds_now() -> int:
    """Return the time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def never_back(now: Callable[[], int]) -> Callable[[], int]:
    """Return a clock that goes on by a microsecond a look while the one it is made of is set back.

    What a reader undoes would else come after the undoing.
    """
    latest = 0

    def read() -> int:
        nonlocal latest
        found = now()
        latest = found if found >= latest else latest + 1
        return latest

    return read
