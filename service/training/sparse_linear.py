"""A sparse linear model: each book's score as a sum over the books of a history; knows nothing of factors.

Ning and Karypis, "SLIM: Sparse linear methods for top-N recommender systems" (ICDM 2011), with a directed
target and candidates chosen before, so that each book is a small problem of its own.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.domain.compiled import njit
from service.training.co_reading import CoReading, starts_of
from service.training.threads import even_spans, over_spans

_SPANS = 64
_SMALLEST_STEP = 1e-6  # far below what changes a ranking


def learn_weights(
    together: CoReading,
    *,
    l2: float,
    l1: float,
    sweeps: int,
    thread_count: int,
    done: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float32]:
    """Return the weight of each candidate, [c]: of book j it minimises, over w >= 0,

    ½ wᵀGw - R_jᵀw + ½ l2 |w|² + l1 Σ w, by cyclic coordinate descent from 0.
    """
    counts = np.diff(together.starts)
    weights = np.zeros(len(together.candidates), dtype=np.float32)

    def work(start: int, stop: int) -> None:
        _descend(
            start, stop, together.starts, together.candidates, together.directed, together.diagonal,
            together.indptr, together.indices, together.values, counts.max(initial=0),
            np.float32(l2), np.float32(l1), sweeps, weights,
        )  # fmt: skip

    over_spans(work, even_spans(counts.astype(np.float64) ** 2 + 1, _SPANS), thread_count, done)
    return weights


def by_source(
    together: CoReading, weights: NDArray[np.float32], target_factors: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Return the weights above 0 as CSR by source (indptr, indices, weights), times their target's factor."""
    book_count = len(together.diagonal)
    kept = np.flatnonzero(weights > 0)
    targets = np.repeat(np.arange(book_count, dtype=np.int32), np.diff(together.starts))[kept]
    sources = together.candidates[kept]
    order = np.argsort(sources, kind="stable")
    values = weights[kept] * target_factors[targets]
    indptr = starts_of(np.bincount(sources, minlength=book_count))
    return indptr, targets[order], values[order].astype(np.float32)


@njit(nogil=True, cache=True, fastmath={"contract"})
def _descend(
    start, stop, starts, candidates, directed, diagonal, indptr, indices, values, most,
    l2, l1, sweeps, weights,
):  # fmt: skip
    place_of = np.full(len(indptr) - 1, -1, dtype=np.int32)
    gram = np.zeros((most, most), dtype=np.float32)
    left = np.empty(most, dtype=np.float32)
    for target in range(start, stop):
        sources = candidates[starts[target] : starts[target + 1]]
        chosen = weights[starts[target] : starts[target + 1]]
        count = len(sources)
        for place in range(count):
            place_of[sources[place]] = place
            gram[place, :count] = 0
        for place in range(count):
            source = sources[place]
            for cell in range(indptr[source], indptr[source + 1]):
                other = place_of[np.uint32(indices[cell])]
                if other >= 0:
                    gram[place, other] = values[cell]
                    gram[other, place] = values[cell]
        for place in range(count):
            gram[place, place] = diagonal[sources[place]] + l2
            left[place] = directed[starts[target] + place] - l1
        for _sweep in range(sweeps):
            largest = np.float32(0)
            for place in range(count):
                before = chosen[place]
                after = max(np.float32(0), before + left[place] / gram[place, place])
                step = after - before
                if step != 0:
                    chosen[place] = after
                    row = gram[place]
                    for other in range(count):
                        left[other] -= step * row[other]
                    largest = max(largest, abs(step))
            if largest < _SMALLEST_STEP:
                break
        for place in range(count):
            place_of[sources[place]] = -1
