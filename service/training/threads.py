"""Work cut into fixed spans that a few threads share; the cut never depends on how many threads there are."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Result = TypeVar("Result")
Span = tuple[int, int]


def default_thread_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def even_spans(costs: NDArray, count: int) -> list[Span]:
    """Cut positions into at most `count` spans of about equal cost, in order."""
    done = np.cumsum(np.asarray(costs, dtype=np.float64) + 1e-9)
    if not len(done):
        return []
    stops = np.searchsorted(done, done[-1] * np.arange(1, count) / count) + 1
    edges = np.unique(np.concatenate(([0], stops, [len(done)])))
    edges = edges[edges <= len(done)]
    return [(int(start), int(stop)) for start, stop in pairwise(edges)]


def over_spans(
    work: Callable[[int, int], Result],
    spans: Sequence[Span],
    thread_count: int,
    done: Callable[[float], None] = lambda share: None,
) -> list[Result]:
    """Call work(start, stop) for each span, which releases the GIL; results come in the spans' order."""
    results = []
    with ThreadPoolExecutor(thread_count, thread_name_prefix="training") as pool:
        futures = [pool.submit(work, start, stop) for start, stop in spans]
        try:
            for number, future in enumerate(futures, start=1):
                results.append(future.result())
                done(number / len(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results
