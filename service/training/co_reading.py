"""Which books are read together, by whom and in which order: counts and candidates; knows no model.

Of each book j its column of the weighted co-reading matrix G, and of the directed one R, are made in turn and
never all kept: the best sources by R, and of G the half that the sparse model asks for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.compiled import njit
from service.training.lists import Lists
from service.training.threads import Span, even_spans, over_spans

_SPANS = 64


@dataclass(frozen=True, slots=True)
class CoReading:
    """Sources that may speak for each book, and how often books were read together.

    G is symmetric: of a pair the row of the less popular book holds the value, so that no row is long.
    """

    diagonal: NDArray[np.float32]  # [b], G_jj
    starts: NDArray[np.int64]  # [b + 1], where each book's candidates begin
    candidates: NDArray[np.int32]  # [c], ascending within a book
    directed: NDArray[np.float32]  # [c], R of the candidates
    indptr: NDArray[np.int64]  # [b + 1], of the half of G
    indices: NDArray[np.int32]
    values: NDArray[np.float32]


def reader_weights(lists: Lists, history_exponent: float) -> NDArray[np.float32]:
    """Return (n / mean n)^-history_exponent for each list of n books."""
    lengths = lists.lengths()
    return ((lengths / lengths.mean()) ** -history_exponent).astype(np.float32)


def count_together(
    lists: Lists,
    weights: NDArray[np.float32],
    *,
    backward: float,
    source_exponent: float,
    target_exponent: float,
    shrink: float,
    candidate_count: int,
    thread_count: int,
    done: Callable[[float], None] = lambda share: None,
) -> CoReading:
    """Count, and choose candidates by R_ij / (G_ii^source_exponent · G_jj^target_exponent + shrink).

    R counts a reader of i before j fully, one of j before i `backward` times.
    """
    cell_weights = weights[lists.readers] * lists.strengths
    diagonal = np.bincount(
        lists.books, weights=(cell_weights * lists.strengths).astype(np.float64), minlength=lists.book_count
    )
    popular_first = np.lexsort((np.arange(lists.book_count), -diagonal))
    ranks = np.empty(lists.book_count, dtype=np.int32)
    ranks[popular_first] = np.arange(lists.book_count)
    # A dark shelf (nobody read it) divides nothing.
    source_terms = (np.maximum(diagonal, 1e-9) ** source_exponent).astype(np.float32)
    target_terms = (np.maximum(diagonal, 1e-9) ** target_exponent).astype(np.float32)

    def work(start: int, stop: int) -> tuple[NDArray, ...]:
        return _together(
            start, stop, lists.starts, lists.books, lists.readers, lists.strengths, cell_weights,
            lists.book_starts, lists.cells, ranks, source_terms, target_terms, np.float32(shrink),
            np.float32(backward), candidate_count,
        )  # fmt: skip

    counts, candidates, directed, half_counts, indices, values = (
        np.concatenate(column)
        for column in zip(*over_spans(work, _spans(lists), thread_count, done), strict=True)
    )
    return CoReading(
        diagonal.astype(np.float32),
        starts_of(counts),
        candidates,
        directed,
        starts_of(half_counts),
        indices,
        values,
    )


def starts_of(counts: NDArray) -> NDArray[np.int64]:
    """Return where each row begins, and behind the last one the total, of rows of these lengths."""
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def _spans(lists: Lists) -> list[Span]:
    lengths = lists.lengths()[lists.readers]
    return even_spans(np.bincount(lists.books, weights=lengths, minlength=lists.book_count) + 1, _SPANS)


@njit(nogil=True, cache=True)
def _together(
    start, stop, starts, books, readers, strengths, cell_weights, book_starts, cells, ranks,
    source_terms, target_terms, shrink, backward, most,
):  # fmt: skip
    book_count = len(book_starts) - 1
    together = np.zeros(book_count, dtype=np.float32)
    forward = np.zeros(book_count, dtype=np.float32)
    touched = np.empty(book_count + 1, dtype=np.int32)
    keys = np.empty(book_count, dtype=np.uint64)
    scores = np.empty(1, dtype=np.float32)
    bits = scores.view(np.uint32)
    half_counts = np.zeros(stop - start, dtype=np.int64)
    indices = np.empty(1024, dtype=np.int32)
    values = np.empty(1024, dtype=np.float32)
    used = 0
    counts = np.zeros(stop - start, dtype=np.int64)
    candidates = np.empty((stop - start) * min(most, book_count), dtype=np.int32)
    directed = np.empty(len(candidates), dtype=np.float32)
    taken = 0
    for target in range(start, stop):
        touched_count = 0
        for index in range(book_starts[target], book_starts[target + 1]):
            cell = cells[index]
            reader = readers[cell]
            weight = cell_weights[cell]
            for other in range(starts[reader], starts[reader + 1]):
                source = np.uint32(books[other])
                gain = weight * strengths[other]
                touched[touched_count] = source
                touched_count += together[source] == 0
                together[source] += gain
                forward[source] += gain if other < cell else backward * gain
        if used + touched_count > len(indices):
            size = 2 * (used + touched_count)
            grown, grown_values = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.float32)
            grown[:used], grown_values[:used] = indices[:used], values[:used]
            indices, values = grown, grown_values
        first, key_count = used, 0
        for index in range(touched_count):
            source = touched[index]
            if source != target:
                if ranks[source] < ranks[target]:
                    indices[used], values[used] = source, together[source]
                    used += 1
                # The bits of floats above 0 sort as they do; ties go to the lower position.
                scores[0] = forward[source] / (source_terms[source] * target_terms[target] + shrink)
                if scores[0] > 0:
                    keys[key_count] = (np.uint64(bits[0]) << np.uint64(32)) | np.uint64(book_count - source)
                    key_count += 1
        half_counts[target - start] = used - first
        chosen = keys[:key_count]
        if key_count > most:
            chosen = np.partition(chosen, key_count - most)[key_count - most :]
        kept = len(chosen)
        row = candidates[taken : taken + kept]
        for place in range(kept):
            row[place] = book_count - np.int64(chosen[place] & np.uint64(0xFFFFFFFF))
        row.sort()
        for place in range(kept):
            directed[taken + place] = forward[row[place]]
        taken += kept
        counts[target - start] = kept
        for index in range(touched_count):
            together[touched[index]] = 0
            forward[touched[index]] = 0
    return (
        counts, candidates[:taken].copy(), directed[:taken].copy(),
        half_counts, indices[:used].copy(), values[:used].copy(),
    )  # fmt: skip
