"""The compiled ranking kernel: histories and neighbours in, the best books out; knows arrays alone.

Its cost follows the neighbours touched and the places asked for, not the size of the catalogue. It releases
the GIL and allocates nothing of the catalogue's size: each thread keeps a `Scratch`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.compiled import njit, types

_HIDDEN, _CHOSEN = 1, 2


def _readonly(dtype: types.Type, dimensions: int = 1) -> types.Array:
    # These also take writable arrays, so that a mapped model and one in memory run the same code.
    return types.Array(dtype, dimensions, "C", readonly=True)


_SIGNATURE = types.UniTuple(types.int64, 2)(
    _readonly(types.int32),  # history
    _readonly(types.float32),  # preferences
    _readonly(types.int32),  # hidden
    _readonly(types.uint64),  # wanted
    _readonly(types.uint64, 2),  # category_bits
    _readonly(types.int64),  # ids
    _readonly(types.int32),  # row_of
    _readonly(types.int32),  # position_of
    _readonly(types.int64),  # indptr
    _readonly(types.int32),  # indices
    _readonly(types.float32),  # weights
    _readonly(types.int32),  # popular
    types.float32[::1],  # scores
    types.float32[::1],  # strongest
    types.int32[::1],  # strongest_source
    types.uint8[::1],  # marks
    types.int32[::1],  # touched
    types.int32[::1],  # out_positions
    types.float32[::1],  # out_scores
    types.int32[::1],  # out_sources
    types.float32[::1],  # out_shares
)


class Scratch:
    """What one thread needs to rank: accumulators as long as the catalogue, the same between calls."""

    def __init__(self, position_count: int) -> None:
        self.position_count = position_count
        self.scores = np.zeros(position_count, dtype=np.float32)
        self.strongest = np.full(position_count, np.inf, dtype=np.float32)
        self.strongest_source = np.zeros(position_count, dtype=np.int32)
        self.marks = np.zeros(position_count, dtype=np.uint8)
        # One more than can be touched: the place behind the last one is written to before it is known.
        self.touched = np.zeros(position_count + 1, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best books: first those that the history speaks for, then popular ones."""

    positions: list[int]
    scores: list[float]  # of the first `learned`; 0 behind them
    sources: list[int]  # the position of the history's book that added most to the score
    shares: list[float]  # that book's part of the score
    learned: int  # how many follow from the history


@njit("boolean(float32, int64, float32, int64)", nogil=True, cache=True, inline="always")
def _better(score: float, book_id: int, other_score: float, other_id: int) -> bool:
    """Order by score, and equal scores by ascending book id, so that every replica gives the same list."""
    return score > other_score or (score == other_score and book_id < other_id)


@njit(
    types.void(types.int32[::1], types.int64, types.int64, types.float32[::1], _readonly(types.int64)),
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


@njit(_SIGNATURE, nogil=True, cache=True)
def _rank(
    history,
    preferences,
    hidden,
    wanted,
    category_bits,
    ids,
    row_of,
    position_of,
    indptr,
    indices,
    weights,
    popular,
    scores,
    strongest,
    strongest_source,
    marks,
    touched,
    out_positions,
    out_scores,
    out_sources,
    out_shares,
):
    places = len(out_positions)
    for position in hidden:
        marks[position] = _HIDDEN

    # Sum the neighbours of every book of the history.
    touched_count = 0
    for place in range(len(history)):
        source = history[place]
        row = row_of[source]
        if row < 0 or preferences[place] <= 0:
            continue
        preference = preferences[place]
        for cell in range(indptr[row], indptr[row + 1]):
            # Unsigned: numba then leaves out what it does for negative indices.
            target = position_of[np.uint32(indices[cell])]
            gain = preference * weights[cell]
            if target < 0 or gain <= 0:
                continue
            slot = np.uint32(target)
            before = scores[slot]
            # Without a branch, which the processor would mispredict for every fifth cell.
            touched[touched_count] = target
            touched_count += before == 0
            scores[slot] = before + gain

    # What speaks against takes away from what was found. Nothing is found by dislike alone.
    for place in range(len(history)):
        row = row_of[history[place]]
        if row < 0 or preferences[place] >= 0:
            continue
        for cell in range(indptr[row], indptr[row + 1]):
            target = position_of[np.uint32(indices[cell])]
            if target >= 0 and scores[target] != 0:
                scores[target] += preferences[place] * weights[cell]

    # Keep the best in a heap with the worst of them at the root.
    kept = 0
    for index in range(touched_count):
        target = touched[index]
        if marks[target] == _HIDDEN or scores[target] <= 0:
            continue
        for word in range(len(wanted)):
            if category_bits[target, word] & wanted[word]:
                break
        else:
            continue
        if kept < places:
            out_positions[kept] = target
            kept += 1
            if kept == places:
                for start in range(places // 2 - 1, -1, -1):
                    _sift_down(out_positions, start, places, scores, ids)
        elif _better(scores[target], ids[target], scores[out_positions[0]], ids[out_positions[0]]):
            out_positions[0] = target
            _sift_down(out_positions, 0, places, scores, ids)
    if kept < places:
        for start in range(kept // 2 - 1, -1, -1):
            _sift_down(out_positions, start, kept, scores, ids)
    # Sort by moving the worst to the end, again and again.
    for size in range(kept - 1, 0, -1):
        out_positions[0], out_positions[size] = out_positions[size], out_positions[0]
        _sift_down(out_positions, 0, size, scores, ids)
    for place in range(kept):
        marks[out_positions[place]] = _CHOSEN
        strongest[out_positions[place]] = 0

    # Which book of the history added most, for the chosen alone: nothing is above the infinity of the others.
    for place in range(len(history)):
        source = history[place]
        row = row_of[source]
        if row < 0 or preferences[place] <= 0:
            continue
        preference = preferences[place]
        for cell in range(indptr[row], indptr[row + 1]):
            target = position_of[np.uint32(indices[cell])]
            if target < 0:
                continue
            slot = np.uint32(target)
            gain = preference * weights[cell]
            if gain > strongest[slot]:
                strongest[slot] = gain
                strongest_source[slot] = source
    for place in range(kept):
        target = out_positions[place]
        out_scores[place] = scores[target]
        out_sources[place] = strongest_source[target]
        # Above all of it where dislikes took away more than the others gave.
        out_shares[place] = min(strongest[target] / scores[target], np.float32(1))

    # Fill what is left with popular books.
    filled = kept
    for index in range(len(popular)):
        if filled == places:
            break
        target = popular[index]
        if marks[target] != 0:
            continue
        for word in range(len(wanted)):
            if category_bits[target, word] & wanted[word]:
                out_positions[filled] = target
                filled += 1
                break

    # Leave the scratch as clean as it was found.
    for index in range(touched_count):
        scores[touched[index]] = 0
    for place in range(kept):
        marks[out_positions[place]] = 0
        strongest[out_positions[place]] = np.inf
    for position in hidden:
        marks[position] = 0
    return kept, filled


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A model's neighbours as a catalogue sees them: rows and targets translated to and from positions."""

    row_of: NDArray[np.int32]  # [positions] row of each position, -1 for books the model does not know
    position_of: NDArray[np.int32]  # [rows] position of each row, -1 for books that are gone
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]


def rank(
    scratch: Scratch,
    neighbours: Neighbours,
    history: NDArray[np.int32],
    preferences: NDArray[np.float32],
    hidden: NDArray[np.int32],
    wanted: NDArray[np.uint64],
    category_bits: NDArray[np.uint64],
    ids: NDArray[np.int64],
    popular: NDArray[np.int32],
    places: int,
) -> Ranking:
    """Rank the books of the wanted categories for a history.

    Shapes: history and preferences [h], hidden [any], wanted [words], category_bits [positions, words], ids
    [positions], popular [any]: positions in the order in which they fill places that the history leaves;
    none for no filling. A scratch serves one call at a time.
    """
    positions = np.empty(places, dtype=np.int32)
    scores = np.zeros(places, dtype=np.float32)
    sources = np.zeros(places, dtype=np.int32)
    shares = np.zeros(places, dtype=np.float32)
    learned, count = _rank(
        history,
        preferences,
        hidden,
        wanted,
        category_bits,
        ids,
        neighbours.row_of,
        neighbours.position_of,
        neighbours.indptr,
        neighbours.indices,
        neighbours.weights,
        popular,
        scratch.scores,
        scratch.strongest,
        scratch.strongest_source,
        scratch.marks,
        scratch.touched,
        positions,
        scores,
        sources,
        shares,
    )
    return Ranking(
        positions[:count].tolist(),
        scores[:count].tolist(),
        sources[:learned].tolist(),
        shares[:learned].tolist(),
        learned,
    )
