"""The compiled ranking kernel: histories, neighbours and factors in, the best books out; knows arrays alone.

Its cost follows the neighbours touched, the candidates ranked anew and the places asked for, not the size of
the catalogue. It releases the GIL and allocates nothing of that size: each thread keeps a `Scratch`.

All of it stands in one file, because numba notices that a cached function has changed by its own file alone.
"""

from typing import Any

import numpy as np
from numba import njit, types

from service.domain.ranking.ground import Ground
from service.domain.ranking.scratch import Scratch

# Marks of a position during a call.
_HIDDEN, _CHOSEN, _READ = 1, 2, 4
# Means over so many make the scales of neighbours and factors comparable; from the model's definition.
_SCALED_BY = 20


def readonly(dtype: types.Type, dimensions: int = 1) -> types.Array:
    # These also take writable arrays, where they stand alone.
    return types.Array(dtype, dimensions, "C", readonly=True)


_DTYPES = {np.int64: types.int64, np.int32: types.int32, np.float32: types.float32, np.uint64: types.uint64}
_TWO_DIMENSIONAL = ("category_bits", "source_factors", "target_factors")


def _column(name: str, annotation: Any) -> types.Array:
    dtype = annotation.__args__[1].__args__[0]  # of an NDArray
    return readonly(_DTYPES[dtype], 2 if name in _TWO_DIMENSIONAL else 1)


GROUND = types.NamedTuple([_column(*field) for field in Ground.__annotations__.items()], Ground)
SCRATCH = types.NamedTuple(
    [types.float32[::1], types.float32[::1], types.int32[::1], types.uint8[::1], types.int32[::1]], Scratch
)


@njit("boolean(float32, int64, float32, int64)", inline="always", nogil=True, cache=True)
def _better(score: float, book_id: int, other_score: float, other_id: int) -> bool:
    """Order by score, and equal scores by ascending book id, so that every replica gives the same list."""
    return score > other_score or (score == other_score and book_id < other_id)


@njit(
    types.void(types.int32[::1], types.int64, types.int64, readonly(types.float32), readonly(types.int64)),
    nogil=True,
    cache=True,
)
def _sift_down(heap, start, size, scores, ids):
    """Restore a heap whose root is the worst of its positions."""
    parent = start
    while True:
        child = 2 * parent + 1
        if child >= size:
            return
        left, right = heap[child], heap[child + 1] if child + 1 < size else heap[child]
        if child + 1 < size and _better(scores[left], ids[left], scores[right], ids[right]):
            child += 1
        if not _better(scores[heap[parent]], ids[heap[parent]], scores[heap[child]], ids[heap[child]]):
            return
        heap[parent], heap[child] = heap[child], heap[parent]
        parent = child


@njit(
    types.void(types.int32[::1], types.int64, readonly(types.float32), readonly(types.int64)),
    nogil=True,
    cache=True,
)
def _sort(heap, size, scores, ids):
    """Sort positions in any order, best first."""
    for start in range(size // 2 - 1, -1, -1):
        _sift_down(heap, start, size, scores, ids)
    # By moving the worst to the end, again and again.
    for end in range(size - 1, 0, -1):
        heap[0], heap[end] = heap[end], heap[0]
        _sift_down(heap, 0, end, scores, ids)


@njit(
    types.boolean(types.int64, readonly(types.uint64, 2), readonly(types.uint64, 2)), nogil=True, cache=True
)
def _is_within(position, category_bits, clauses):
    for clause in range(len(clauses)):
        for word in range(clauses.shape[1]):
            if category_bits[position, word] & clauses[clause, word]:
                break
        else:
            return False
    return True


@njit(types.boolean(types.int64, GROUND, types.uint8[::1]), nogil=True, cache=True)
def _is_too_early(position, ground, marks):
    """Tell whether a whole-numbered volume before this one is in the catalogue and was not read."""
    series = ground.series_of[position]
    if series < 0:
        return False
    volume, was_read = np.float32(0), True
    for member in range(ground.series_starts[series], ground.series_starts[series + 1]):
        other = ground.series_volumes[member]
        if other != volume:
            if not was_read:
                return True
            volume, was_read = other, other != np.floor(other)
        if ground.series_members[member] == position:
            return False
        was_read |= (marks[ground.series_members[member]] & _READ) != 0
    return False


@njit(
    types.void(types.int64, types.uint8, GROUND, types.uint8[::1]),
    nogil=True,
    cache=True,
)
def _mark_editions(position, mark, ground, marks):
    """Mark a position and the other editions of its work."""
    marks[position] |= mark
    work = ground.work_of[position]
    if work >= 0:
        for member in range(ground.work_starts[work], ground.work_starts[work + 1]):
            marks[ground.work_members[member]] |= mark


@njit(types.void(types.int64, GROUND, types.uint8[::1]), nogil=True, cache=True)
def _unmark_editions(position, ground, marks):
    marks[position] = 0
    work = ground.work_of[position]
    if work >= 0:
        for member in range(ground.work_starts[work], ground.work_starts[work + 1]):
            marks[ground.work_members[member]] = 0


@njit(
    types.int64(GROUND, SCRATCH, readonly(types.int32), readonly(types.float32), readonly(types.int32)),
    nogil=True,
    cache=True,
)
def _sum(ground, scratch, history, preferences, liked):
    """Sum the neighbours of the books liked; returns how many positions were touched."""
    scores, touched = scratch.scores, scratch.touched
    count = 0
    for step in range(len(liked)):
        source = history[liked[step]]
        preference = preferences[liked[step]] * ground.recency[step]
        row = ground.row_of[source]
        if row >= 0:
            for cell in range(ground.indptr[row], ground.indptr[row + 1]):
                # Unsigned: numba then leaves out what it does for negative indices.
                target = ground.position_of[np.uint32(ground.indices[cell])]
                gain = preference * ground.weights[cell]
                if target < 0 or gain <= 0:
                    continue
                slot = np.uint32(target)
                before = scores[slot]
                # Without a branch, which the processor would mispredict for every fifth cell.
                touched[count] = target
                count += before == 0
                scores[slot] = before + gain
        if len(ground.content_starts) > 1:
            for cell in range(ground.content_starts[source], ground.content_starts[source + 1]):
                slot = np.uint32(ground.content_targets[cell])
                gain = preference * ground.content_weights[cell]
                if gain > 0:
                    touched[count] = slot
                    count += scores[slot] == 0
                    scores[slot] += gain

    # What speaks against takes away from what was found. Nothing is found by dislike alone.
    step, disliked = 0, 0
    for place in range(len(history) - 1, -1, -1):
        if disliked == len(ground.recency):
            break
        if preferences[place] > 0:
            step += 1
        elif preferences[place] < 0:
            disliked += 1
            loss = preferences[place] * ground.recency[min(step, len(ground.recency) - 1)]
            row = ground.row_of[history[place]]
            if row >= 0:
                for cell in range(ground.indptr[row], ground.indptr[row + 1]):
                    target = ground.position_of[np.uint32(ground.indices[cell])]
                    if target >= 0 and scores[target] != 0:
                        scores[target] += loss * ground.weights[cell]
    return count


@njit(
    types.int64(
        GROUND,
        SCRATCH,
        types.int64,
        readonly(types.uint64, 2),
        types.boolean,
        types.boolean,
        types.int32[::1],
    ),
    nogil=True,
    cache=True,
)
def _select(ground, scratch, touched_count, clauses, one_edition, in_order, best):
    """Put the best of the positions touched into `best`, sorted; returns how many."""
    scores, marks, ids, places = scratch.scores, scratch.marks, ground.ids, len(best)
    kept = 0
    for index in range(touched_count):
        target = scratch.touched[index]
        score = scores[target]
        if score <= 0 or marks[target] & _HIDDEN:
            continue
        if kept == places and not _better(score, ids[target], scores[best[0]], ids[best[0]]):
            continue
        if not _is_within(target, ground.category_bits, clauses):
            continue
        if in_order and _is_too_early(target, ground, marks):
            continue
        work = ground.work_of[target] if one_edition else -1
        if work >= 0:
            second = False
            for member in range(ground.work_starts[work], ground.work_starts[work + 1]):
                other = ground.work_members[member]
                second |= (
                    _better(scores[other], ids[other], score, ids[target])
                    and not marks[other] & _HIDDEN
                    and _is_within(other, ground.category_bits, clauses)
                    and not (in_order and _is_too_early(other, ground, marks))
                )
            if second:
                continue
        if kept < places:
            best[kept] = target
            kept += 1
            if kept == places:
                for start in range(places // 2 - 1, -1, -1):
                    _sift_down(best, start, places, scores, ids)
        else:
            best[0] = target
            _sift_down(best, 0, places, scores, ids)
    _sort(best, kept, scores, ids)
    return kept


@njit(types.float32(readonly(types.float32), readonly(types.float32)), fastmath=True, nogil=True, cache=True)
def _dot(one, other):
    total = np.float32(0)
    for index in range(len(one)):
        total += one[index] * other[index]
    return total


@njit(
    types.float32[::1](GROUND, readonly(types.int32), readonly(types.float32), readonly(types.int32)),
    nogil=True,
    cache=True,
)
def _folded_in(ground, history, preferences, liked):
    """Return the reader's factors: x = Eᵀ a with a = (E Eᵀ + diag((1 + p)^g / r))⁻¹ 1, by Cholesky."""
    dimensions = ground.source_factors.shape[1]
    factors = np.empty((len(liked), dimensions), dtype=np.float32)
    lower = np.empty((len(liked), len(liked)), dtype=np.float32)
    solved = np.empty(len(liked), dtype=np.float32)
    count = 0
    for step in range(len(liked)):
        row = ground.row_of[history[liked[step]]]
        if row < 0:
            continue
        factors[count] = ground.source_factors[row]
        for other in range(count):
            lower[count, other] = _dot(factors[count], factors[other])
        lower[count, count] = (
            _dot(factors[count], factors[count]) + ground.resistance[step] / preferences[liked[step]]
        )
        count += 1
    # Row by row, so that each step is a dot product of what lies together; the first triangle at once.
    for row in range(count):
        for column in range(row):
            rest = lower[row, column] - _dot(lower[row, :column], lower[column, :column])
            lower[row, column] = rest / lower[column, column]
        lower[row, row] = np.sqrt(lower[row, row] - _dot(lower[row, :row], lower[row, :row]))
        solved[row] = (np.float32(1) - _dot(lower[row, :row], solved[:row])) / lower[row, row]
    # The second triangle, by its columns, which are rows of the first.
    reader = np.zeros(dimensions, dtype=np.float32)
    for row in range(count - 1, -1, -1):
        solved[row] /= lower[row, row]
        for column in range(row):
            solved[column] -= lower[row, column] * solved[row]
        reader += solved[row] * factors[row]
    return reader


@njit(types.float32(readonly(types.float32)), nogil=True, cache=True)
def _mean_of_highest(values):
    highest = np.zeros(_SCALED_BY, dtype=np.float32)
    kept = 0
    for value in values:
        if kept == _SCALED_BY and value <= highest[kept - 1]:
            continue
        # In order, so that the sum is the same whatever the order of the values.
        place = min(kept, _SCALED_BY - 1)
        while place > 0 and highest[place - 1] < value:
            highest[place] = highest[place - 1]
            place -= 1
        highest[place] = value
        kept = min(kept + 1, _SCALED_BY)
    return highest[:kept].mean() if kept else np.float32(0)


@njit(
    types.void(
        GROUND,
        readonly(types.float32),
        types.float32,
        types.int64,
        types.int32[::1],
        readonly(types.float32),
        types.float32[::1],
    ),
    nogil=True,
    cache=True,
)
def _blend(ground, reader, weight, rerank_count, best, sparse, final):
    """Rank the first candidates anew by neighbours and factors; those behind them keep their order."""
    count = min(rerank_count, len(best))
    by_factors = np.empty(count, dtype=np.float32)
    for place in range(count):
        row = ground.row_of[best[place]]
        by_factors[place] = _dot(ground.target_factors[row], reader) if row >= 0 else np.float32(0)
    sparse_mean, factors_mean = _mean_of_highest(sparse[:count]), _mean_of_highest(by_factors)
    ids = np.empty(count, dtype=np.int64)
    order = np.empty(count, dtype=np.int32)
    scores = np.empty(count, dtype=np.float32)
    for place in range(count):
        scores[place] = (1 - weight) * sparse[place] / sparse_mean
        if factors_mean > 0:
            scores[place] += weight * by_factors[place] / factors_mean
        ids[place], order[place] = ground.ids[best[place]], place
    _sort(order, count, scores, ids)
    positions = best[:count].copy()
    for place in range(count):
        best[place], final[place] = positions[order[place]], scores[order[place]]
    for place in range(count, len(best)):
        # What the list is sorted by never rises.
        final[place] = min((1 - weight) * sparse[place] / sparse_mean, final[place - 1])


@njit(
    types.void(GROUND, SCRATCH, readonly(types.int32), readonly(types.float32), readonly(types.int32)),
    nogil=True,
    cache=True,
)
def _find_strongest(ground, scratch, history, preferences, liked):
    """Find which book of the history added most, for the chosen alone: nothing is above infinity."""
    strongest, strongest_source = scratch.strongest, scratch.strongest_source
    for step in range(len(liked)):
        source = history[liked[step]]
        preference = preferences[liked[step]] * ground.recency[step]
        row = ground.row_of[source]
        if row >= 0:
            for cell in range(ground.indptr[row], ground.indptr[row + 1]):
                target = ground.position_of[np.uint32(ground.indices[cell])]
                if target < 0:
                    continue
                slot = np.uint32(target)
                gain = preference * ground.weights[cell]
                if gain > strongest[slot]:
                    strongest[slot] = gain
                    strongest_source[slot] = source
        if len(ground.content_starts) > 1:
            for cell in range(ground.content_starts[source], ground.content_starts[source + 1]):
                slot = np.uint32(ground.content_targets[cell])
                gain = preference * ground.content_weights[cell]
                if gain > strongest[slot]:
                    strongest[slot] = gain
                    strongest_source[slot] = source


@njit(
    types.UniTuple(types.int64, 2)(
        GROUND,
        SCRATCH,
        readonly(types.int32),  # history
        readonly(types.float32),  # preferences
        readonly(types.boolean),  # read
        readonly(types.boolean),  # unwanted
        readonly(types.int32),  # excluded
        readonly(types.uint64, 2),  # clauses
        readonly(types.int32),  # popular
        types.boolean,  # include_read
        types.boolean,  # one_edition
        types.boolean,  # in_order
        types.int64,  # rerank_count
        types.float32,  # rerank_weight
        types.int32[::1],  # out_positions
        types.float32[::1],  # out_scores
        types.int32[::1],  # out_sources
        types.float32[::1],  # out_shares
    ),
    nogil=True,
    cache=True,
)
def rank_arrays(
    ground,
    scratch,
    history,
    preferences,
    read,
    unwanted,
    excluded,
    clauses,
    popular,
    include_read,
    one_edition,
    in_order,
    rerank_count,
    rerank_weight,
    out_positions,
    out_scores,
    out_sources,
    out_shares,
):
    """Rank; returns how many places follow from the history, and how many are filled in all."""
    marks, places = scratch.marks, len(out_positions)
    liked = np.empty(min(len(history), len(ground.recency)), dtype=np.int32)
    liked_count = 0
    for place in range(len(history) - 1, -1, -1):
        if preferences[place] > 0 and liked_count < len(liked):
            liked[liked_count] = place
            liked_count += 1
        mark = 0
        if read[place]:
            mark = _READ if include_read else _READ | _HIDDEN
        if unwanted[place]:
            mark |= _HIDDEN
        if mark and one_edition:
            _mark_editions(history[place], mark, ground, marks)
        elif mark:
            marks[history[place]] |= mark
    liked = liked[:liked_count]
    for position in excluded:
        marks[position] |= _HIDDEN

    touched_count = _sum(ground, scratch, history, preferences, liked)
    reranks = rerank_weight > 0 and ground.source_factors.shape[1] > 0
    best = np.empty(min(max(places, rerank_count) if reranks else places, touched_count), dtype=np.int32)
    best = best[: _select(ground, scratch, touched_count, clauses, one_edition, in_order, best)]
    final = np.empty(len(best), dtype=np.float32)
    for place in range(len(best)):
        final[place] = scratch.scores[best[place]]
    if reranks and len(best):
        reader = _folded_in(ground, history, preferences, liked)
        _blend(ground, reader, rerank_weight, rerank_count, best, final.copy(), final)

    kept = min(len(best), places)
    for place in range(kept):
        out_positions[place], out_scores[place] = best[place], final[place]
        scratch.strongest[best[place]] = 0
        if one_edition:
            _mark_editions(best[place], _CHOSEN, ground, marks)
        else:
            marks[best[place]] |= _CHOSEN
    if kept:
        _find_strongest(ground, scratch, history, preferences, liked)
    for place in range(kept):
        target = out_positions[place]
        out_sources[place] = scratch.strongest_source[target]
        # Above all of it where dislikes took away more than the others gave.
        out_shares[place] = min(scratch.strongest[target] / scratch.scores[target], np.float32(1))

    # Fill what is left with popular books.
    filled = kept
    for target in popular:
        if filled == places:
            break
        seen = marks[target] & (_HIDDEN | _CHOSEN)
        if seen or not _is_within(target, ground.category_bits, clauses):
            continue
        if in_order and _is_too_early(target, ground, marks):
            continue
        out_positions[filled] = target
        filled += 1
        if one_edition:
            _mark_editions(target, _CHOSEN, ground, marks)

    # Leave the scratch as clean as it was found.
    for index in range(touched_count):
        scratch.scores[scratch.touched[index]] = 0
    for place in range(filled):
        _unmark_editions(out_positions[place], ground, marks)
    for place in range(kept):
        scratch.strongest[out_positions[place]] = np.inf
    for place in range(len(history)):
        _unmark_editions(history[place], ground, marks)
    for position in excluded:
        marks[position] = 0
    return kept, filled
