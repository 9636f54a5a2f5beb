"""Matrix factors by implicit alternating least squares; knows nothing of the sparse model.

Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets" (ICDM 2008), with the penalty
and the weight of the unobserved as in Rendle et al., "Revisiting the performance of iALS on item
recommendation benchmarks" (RecSys 2022). Each row is solved exactly, in the smaller of its two forms.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.training.dense_algebra import gram, inverse_root, product, solve_span
from service.training.lists import Lists
from service.training.threads import even_spans, over_spans

_SPANS = 64
_FIRST_LENGTH = 0.1  # of a book's factors before the first iteration


def learn_factors(
    lists: Lists,
    *,
    factor_count: int,
    iterations: int,
    unobserved: float,
    l2: float,
    seed: int,
    thread_count: int,
    done: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float32]:
    """Return E [b, d] in whose coordinates a history is folded in as E_hᵀ(diag(1/r) + E_h E_hᵀ)⁻¹ 1."""
    start = np.random.default_rng(seed).standard_normal((lists.book_count, factor_count), dtype=np.float32)
    books = start * np.float32(_FIRST_LENGTH / np.sqrt(factor_count))
    by_book = lists.readers[lists.cells], lists.strengths[lists.cells]
    for iteration in range(iterations):
        readers, _ = solve_rows(
            lists.starts, lists.books, lists.strengths, books,
            unobserved=unobserved, l2=l2, thread_count=thread_count,
            done=lambda share: done((iteration + share / 2) / iterations),  # noqa: B023
        )  # fmt: skip
        books, _ = solve_rows(
            lists.book_starts, *by_book, readers,
            unobserved=unobserved, l2=l2, thread_count=thread_count,
            done=lambda share: done((iteration + (1 + share) / 2) / iterations),  # noqa: B023
        )  # fmt: skip
    return product(books, _root(books, unobserved, l2, thread_count), thread_count)


def _root(
    factors: NDArray[np.float32], unobserved: float, l2: float, thread_count: int
) -> NDArray[np.float64]:
    return inverse_root(unobserved * gram(factors, thread_count) + l2 * np.eye(factors.shape[1]))


def solve_rows(
    starts: NDArray[np.int64],
    columns: NDArray[np.int32],
    confidences: NDArray[np.float32],
    others: NDArray[np.float32],
    *,
    unobserved: float,
    l2: float,
    thread_count: int,
    done: Callable[[float], None] = lambda share: None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the factors x of each row, and `others` [m, d] in the coordinates where rows are folded in.

    x minimises Σ c (1 - x·v)² over the row's columns + unobserved · Σ (x·v)² over all columns + l2 |x|².
    With W the returned others, x·v = w·Wᵀ(diag(1/c) + W Wᵀ)⁻¹ 1.
    """
    size = others.shape[1]
    root = _root(others, unobserved, l2, thread_count)
    whitened = product(others, root, thread_count)
    found = np.zeros((len(starts) - 1, size), dtype=np.float32)
    lengths = np.diff(starts).astype(np.float64)
    shorter = np.minimum(lengths, size)
    costs = lengths * shorter * size / 2 + shorter**3 / 3 + 1000

    def work(start: int, stop: int) -> None:
        solve_span(start, stop, starts, columns, confidences, whitened, found)

    over_spans(work, even_spans(costs, _SPANS), thread_count, done)
    return product(found, root.T, thread_count), whitened
