"""Second steps and next reads, added to the neighbours that were learned; knows nothing of how those were.

A book speaks for the neighbours of its neighbours as well, as in a random walk of three steps (Cooper et al.,
"Random walks in recommender systems", WWW 2014), here over learned weights. And it speaks for what readers
took up soon after it, of which the learned weights, blind to distances, tell less.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.compiled import njit
from service.training.co_reading import starts_of
from service.training.lists import Lists
from service.training.threads import even_spans, over_spans

_SPANS = 64


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Weights above 0 of targets, CSR by source; targets ascend within a row."""

    indptr: NDArray[np.int64]  # [b + 1]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]


def extend(
    learned: Neighbours,
    lists: Lists,
    target_factors: NDArray[np.float32],
    *,
    walk_weight: float,
    next_weight: float,
    next_window: int,
    next_decay: float,
    neighbour_count: int,
    thread_count: int,
    done: Callable[[float], None] = lambda share: None,
) -> Neighbours:
    """Return for each source i the highest `neighbour_count` of

    W_ij + walk_weight · Σ_k W_ik W_kj / Σ_l W_kl + next_weight · f_j · N_ij / √(d_i d_j),

    with f the target factors, N_ij the sum of next_decay^s over the lists in which j stands s places behind
    i, s up to next_window, and d what N would be of a book with itself, at s = 0. With neither weight above
    0 nothing is added, and nothing left out.
    """
    if not walk_weight and not next_weight:
        return learned
    book_count = lists.book_count
    lengths = np.diff(learned.indptr)
    sums = np.zeros(book_count)
    np.add.at(sums, np.repeat(np.arange(book_count), lengths), learned.weights)
    shares = (walk_weight / np.maximum(sums, 1e-9)).astype(np.float32)
    degrees = np.bincount(lists.books, weights=lists.strengths.astype(np.float64) ** 2, minlength=book_count)
    roots = (1 / np.sqrt(np.maximum(degrees, 1e-9))).astype(np.float32)
    gains = (next_weight * next_decay ** np.arange(next_window + 1)).astype(np.float32)
    # A row costs what its neighbours' rows hold.
    costs = np.bincount(
        np.repeat(np.arange(book_count), lengths), weights=lengths[learned.indices], minlength=book_count
    )

    def work(start: int, stop: int) -> tuple[NDArray, ...]:
        return _extend(
            start, stop, learned.indptr, learned.indices, learned.weights, shares, lists.starts, lists.books,
            lists.readers, lists.strengths, lists.book_starts, lists.cells, roots, target_factors, gains,
            neighbour_count,
        )  # fmt: skip

    counts, indices, weights = (
        np.concatenate(column)
        for column in zip(*over_spans(work, even_spans(costs + 1, _SPANS), thread_count, done), strict=True)
    )
    return Neighbours(starts_of(counts), indices, weights)


@njit(nogil=True, cache=True)
def _extend(
    start, stop, indptr, indices, weights, shares, starts, books, readers, strengths, book_starts, cells,
    roots, target_factors, gains, most,
):  # fmt: skip
    book_count = len(indptr) - 1
    totals = np.zeros(book_count, dtype=np.float32)
    touched = np.empty(book_count + 1, dtype=np.int32)
    keys = np.empty(book_count, dtype=np.uint64)
    scores = np.empty(1, dtype=np.float32)
    bits = scores.view(np.uint32)
    counts = np.zeros(stop - start, dtype=np.int64)
    targets = np.empty((stop - start) * min(most, book_count), dtype=np.int32)
    values = np.empty(len(targets), dtype=np.float32)
    used = 0
    for source in range(start, stop):
        touched_count = 0
        for cell in range(indptr[source], indptr[source + 1]):
            between = indices[cell]
            touched[touched_count] = between
            touched_count += totals[between] == 0
            totals[between] += weights[cell]
            share = shares[between] * weights[cell]
            if share == 0:
                continue
            for second in range(indptr[between], indptr[between + 1]):
                target = np.uint32(indices[second])
                gain = share * weights[second]
                if gain > 0:
                    touched[touched_count] = target
                    touched_count += totals[target] == 0
                    totals[target] += gain
        for index in range(book_starts[source], book_starts[source + 1]):
            cell = cells[index]
            last = min(cell + len(gains), starts[readers[cell] + 1])
            for behind in range(cell + 1, last):
                target = np.uint32(books[behind])
                gain = gains[behind - cell] * strengths[cell] * strengths[behind]
                gain *= roots[source] * roots[target] * target_factors[target]
                if gain > 0:
                    touched[touched_count] = target
                    touched_count += totals[target] == 0
                    totals[target] += gain
        key_count = 0
        for index in range(touched_count):
            target = touched[index]
            if target != source:
                # The bits of floats above 0 sort as they do; ties go to the lower position.
                scores[0] = totals[target]
                keys[key_count] = (np.uint64(bits[0]) << np.uint64(32)) | np.uint64(book_count - target)
                key_count += 1
        chosen = keys[:key_count]
        if key_count > most:
            chosen = np.partition(chosen, key_count - most)[key_count - most :]
        kept = len(chosen)
        row = targets[used : used + kept]
        for place in range(kept):
            row[place] = book_count - np.int64(chosen[place] & np.uint64(0xFFFFFFFF))
        row.sort()
        for place in range(kept):
            values[used + place] = totals[row[place]]
        used += kept
        counts[source - start] = kept
        for index in range(touched_count):
            totals[touched[index]] = 0
    return counts, targets[:used].copy(), values[:used].copy()
