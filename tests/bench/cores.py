"""One core for the servers and one for the load; knows nothing of either."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The measurement failed or cannot be trusted; one line."""


def two_cores() -> tuple[int, int]:
    """Return the core of the servers and the core of the load."""
    if not hasattr(os, "sched_getaffinity"):
        raise BenchError("processes cannot be pinned to cores on this system: run the bench on Linux")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("one core for the servers and another for the load are needed, and there is one")
    return cores[0], cores[1]


@contextmanager
def children_on(core: int | None) -> Iterator[None]:
    """Let processes that are started meanwhile run on one core: they inherit where this thread may run.

    None leaves them every core.
    """
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, everywhere if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has taken, in user and kernel mode; from proc(5)."""
    # The second field, the program's name in parentheses, may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
