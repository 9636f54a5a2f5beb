"""The compiled ranking kernel: histories, neighbours and factors in, the best books out; knows arrays alone.

Its cost follows the neighbours touched, the candidates ranked anew and the places asked for, not the size of
the catalogue. It releases the GIL and allocates nothing of that size: each thread keeps a `Scratch`.

All of it stands in one file, because numba notices that a cached function has changed by its own file alone.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]

from service.domain.compiled import get_or_insert_function, intrinsic, njit, types
from service.domain.ranking.ground import Ground
from service.domain.ranking.layout import bytes_of, form_of
from service.domain.ranking.scratch import BLOCK, REGION, Scratch

# Marks of a position during a call.
_HIDDEN, _CHOSEN, _READ = 1, 2, 4
# Means over so many make the scales of neighbours and factors comparable; from the model's definition.
_SCALED_BY = 20
# A model is larger than the processor's near memory: rows are asked for so many rows before they are needed,
# line by line.
_NEIGHBOURS_AHEAD, _FACTORS_AHEAD, _LINE_BYTES = 2, 8, 64
# So many neighbours a block leave next to no block out: to look at all is quicker than to mark those touched.
_EVERYWHERE = 2
# Scores are counted by their distance from the highest, in 64ths of a halving; the last bucket has the rest.
_BUCKETS, _BUCKET_SHIFT = 512, 17


def readonly(dtype: types.Type, dimensions: int = 1) -> types.Array:
    # These also take writable arrays, where they stand alone.
    return types.Array(dtype, dimensions, "C", readonly=True)


_DTYPES: dict[Any, types.Type] = {
    np.int64: types.int64,
    np.int32: types.int32,
    np.int8: types.int8,
    np.float32: types.float32,
    np.uint64: types.uint64,
}
_TWO_DIMENSIONAL = ("category_bits", "source_factors", "target_factors")


def _column(name: str, annotation: Any) -> types.Array:
    dtype = annotation.__args__[1].__args__[0]  # of an NDArray
    return readonly(_DTYPES[dtype], 2 if name in _TWO_DIMENSIONAL else 1)


GROUND = types.NamedTuple([_column(*field) for field in Ground.__annotations__.items()], Ground)
SCRATCH = types.NamedTuple(
    [
        types.float32[::1],
        types.int32[::1],
        types.uint8[::1],
        types.uint8[::1],
        types.float32[::1],
        types.int32[::1],
        types.float32[::1],
        types.uint8[::1],
        types.float32[::1],
        types.int32[::1],
        types.uint8[::1],
        readonly(types.int64),
    ],
    Scratch,
)


# What is compiled takes the arrays' order and kinds for granted; numba notices changes of this file alone:
# whoever changes those elsewhere has to change this line.
_FORM = "41d16e07eed0355a"
if (found := form_of((Ground._fields, GROUND, Scratch._fields, SCRATCH, BLOCK, REGION))) != _FORM:
    raise ImportError(f"the arrays of Ground or Scratch have changed: _FORM in {__file__} must be {found!r}")


def _taken_up(kind: types.NamedTuple) -> Any:
    """Return what takes such a tuple of arrays over by its layout; whoever calls keeps the arrays alive."""

    @intrinsic
    def take_up(_context, layout):
        def generate(context, builder, signature, arguments):
            if context.get_abi_sizeof(context.get_value_type(kind)) != bytes_of([each.ndim for each in kind]):
                raise NotImplementedError("this numba keeps arrays in another form than layout.py writes")
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            return builder.load(builder.bitcast(data, context.get_value_type(kind).as_pointer()))

        return kind(layout), generate

    return take_up


_ground_of, _scratch_of = _taken_up(GROUND), _taken_up(SCRATCH)


@intrinsic
def _fetch(_context, array, index):
    """Ask for a number of an array, by its place in memory, without waiting for it."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        # To read, to be kept near, data.
        builder.call(prefetch, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def _largest(_context, numbers, start):
    """Return the largest of a block of 32-bit numbers: left to itself LLVM collects them from many blocks."""

    def generate(context, builder, signature, arguments):
        block = ir.VectorType(ir.IntType(32), BLOCK)
        name = f"llvm.vector.reduce.smax.v{BLOCK}i32"
        reduce = get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), [block]), name)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), block.as_pointer())
        return builder.call(reduce, [builder.load(address, align=4)])

    return types.int32(numbers, types.intp), generate


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


# Callers look first whether a book is in a series or has editions: handing over arrays costs more than that.


@njit(
    types.boolean(
        types.int64,
        types.int64,
        readonly(types.int64),
        readonly(types.int32),
        readonly(types.float32),
        types.uint8[::1],
    ),
    nogil=True,
    cache=True,
)
def _is_too_early(position, series, starts, members, volumes, marks):
    """Tell whether a whole-numbered volume before this one is in the catalogue and was not read."""
    volume, was_read = np.float32(0), True
    for member in range(starts[series], starts[series + 1]):
        if volumes[member] != volume:
            if not was_read:
                return True
            volume = volumes[member]
            was_read = volume != np.floor(volume)
        if members[member] == position:
            return False
        was_read |= (marks[members[member]] & _READ) != 0
    return False


@njit(
    types.void(types.int64, types.uint8, readonly(types.int64), readonly(types.int32), types.uint8[::1]),
    nogil=True,
    cache=True,
)
def _mark_editions(work, mark, starts, members, marks):
    """Mark all editions of a work; with 0, take their marks away."""
    for member in range(starts[work], starts[work + 1]):
        marks[members[member]] = (marks[members[member]] | mark) if mark else 0


@njit(
    types.void(readonly(types.int64), readonly(types.int32), readonly(types.float32), types.int64),
    inline="always",
    nogil=True,
    cache=True,
)
def _fetch_row(indptr, indices, weights, row):
    if row < len(indptr) - 1:
        for cell in range(indptr[row], indptr[row + 1], BLOCK):
            _fetch(indices, cell)
            _fetch(weights, cell)


@njit(
    types.int64(GROUND, SCRATCH, readonly(types.int32), readonly(types.float32), readonly(types.int32)),
    nogil=True,
    cache=True,
)
def _sum(ground, scratch, history, preferences, liked):
    """Sum the neighbours of the books liked; returns how many blocks were touched."""
    scores, seen, regions = scratch.scores, scratch.seen, scratch.regions
    row_count = len(ground.indptr) - 1
    cell_count = 0
    for step in range(len(liked)):
        row = ground.slot_of[history[liked[step]]]
        if row < row_count:
            cell_count += ground.indptr[row + 1] - ground.indptr[row]
    everywhere = cell_count > _EVERYWHERE * len(seen)
    if everywhere:
        seen[:], regions[:] = 1, 1
    for step in range(min(_NEIGHBOURS_AHEAD, len(liked))):
        row = ground.slot_of[history[liked[step]]]
        _fetch_row(ground.indptr, ground.indices, ground.weights, row)
    for step in range(len(liked)):
        if step + _NEIGHBOURS_AHEAD < len(liked):
            row = ground.slot_of[history[liked[step + _NEIGHBOURS_AHEAD]]]
            _fetch_row(ground.indptr, ground.indices, ground.weights, row)
        source = history[liked[step]]
        preference = preferences[liked[step]] * ground.recency[step]
        row = ground.slot_of[source]
        # Unsigned: numba then leaves out what it does for negative indices.
        cells = range(np.uint64(0), np.uint64(0))
        if row < row_count:
            cells = range(np.uint64(ground.indptr[row]), np.uint64(ground.indptr[row + 1]))
        if everywhere:
            for cell in cells:
                scores[np.uint32(ground.indices[cell])] += preference * ground.weights[cell]
        else:
            for cell in cells:
                slot = np.uint32(ground.indices[cell])
                scores[slot] += preference * ground.weights[cell]
                # Only written: to look first whether it stands there takes longer than all the rest.
                seen[slot // np.uint32(BLOCK)] = 1
                regions[slot // np.uint32(BLOCK * REGION)] = 1
        if len(ground.content_starts) > 1:
            for cell in range(ground.content_starts[source], ground.content_starts[source + 1]):
                slot = np.uint32(ground.slot_of[ground.content_targets[cell]])
                scores[slot] += preference * ground.content_weights[cell]
                seen[slot // np.uint32(BLOCK)] = 1
                regions[slot // np.uint32(BLOCK * REGION)] = 1

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
            row = ground.slot_of[history[place]]
            if row < row_count:
                for cell in range(ground.indptr[row], ground.indptr[row + 1]):
                    slot = np.uint32(ground.indices[cell])
                    if scores[slot] != 0:
                        scores[slot] += loss * ground.weights[cell]
    count = 0
    for region in range(len(regions)):
        if regions[region]:
            regions[region] = 0
            for block in range(region * REGION, (region + 1) * REGION):
                # Without a branch, which the processor would often mispredict.
                scratch.touched[count] = block
                count += seen[np.uintp(block)]
    return count


@njit(types.int32(SCRATCH, types.int64), nogil=True, cache=True)
def _find_maxima(scratch, touched_count):
    """Find the highest score of each block touched; returns the bits of the highest of all."""
    # The bits of numbers from 0 on are ordered as they are.
    highest = np.int32(0)
    scored, bits = scratch.scores.view(np.int32), scratch.maxima.view(np.int32)
    for index in range(touched_count):
        largest = np.int32(max(_largest(scored, scratch.touched[index] * BLOCK), 0))
        bits[index] = largest
        highest = max(highest, largest)
    return highest


@njit(types.float32(types.float32[::1], types.int32, types.int64), nogil=True, cache=True)
def _floor(values, highest, most):
    """Return a number that at least so many of the values lie above, not many more; 0 where they are fewer.

    None is below 0; `highest` has the bits of the highest.
    """
    if len(values) <= most:
        return np.float32(0)
    bits = values.view(np.int32)
    counts = np.zeros(_BUCKETS, dtype=np.int32)
    for each in bits:
        counts[np.uint32(min((highest - each) >> _BUCKET_SHIFT, _BUCKETS - 1))] += 1
    bucket, above = 0, counts[0]
    while above < most and bucket < _BUCKETS - 1:
        bucket += 1
        above += counts[bucket]
    limit = highest - ((bucket + 1) << _BUCKET_SHIFT)
    if bucket == _BUCKETS - 1 or limit <= 0:
        return np.float32(0)
    counts[0] = limit
    return counts.view(np.float32)[0]


@njit(types.int64(SCRATCH, types.int64, types.float32, types.float32), nogil=True, cache=True)
def _collect(scratch, touched_count, floor, ceiling):
    """List the slots whose scores lie above a floor and not above a ceiling; returns how many."""
    scores, candidates, found = scratch.scores, scratch.candidates, scratch.candidate_scores
    count = 0
    for index in range(touched_count):
        if scratch.maxima[index] > floor:
            start = np.uintp(scratch.touched[index]) * np.uintp(BLOCK)
            for lane in range(BLOCK):
                slot = start + np.uintp(lane)
                score = scores[slot]
                candidates[np.uintp(count)], found[np.uintp(count)] = slot, score
                count += (score > floor) & (score <= ceiling)
    return count


@njit(types.int64(SCRATCH, types.int64, types.float32), nogil=True, cache=True)
def _drop(scratch, count, floor):
    """Take those off the list whose scores do not lie above a floor; returns how many are left."""
    candidates, found = scratch.candidates, scratch.candidate_scores
    kept = 0
    for index in range(count):
        candidates[np.uintp(kept)] = candidates[index]
        kept += found[index] > floor
    return kept


@njit(
    types.int64(
        GROUND,
        SCRATCH,
        types.int64,
        readonly(types.uint64, 2),
        types.boolean,
        types.boolean,
        types.int32[::1],
        types.int32[::1],
        types.float32[::1],
        types.int64[::1],
    ),
    nogil=True,
    cache=True,
)
def _select(ground, scratch, touched_count, clauses, one_edition, in_order, heap, positions, scores, ids):
    """Put the best of what was touched into the arrays, and places in them in any order; returns how many."""
    marks, most = scratch.marks, len(heap)
    kept = 0
    if most == 0:
        return 0
    is_heap, worst = False, np.float32(0)
    # Each of the highest maxima stands for one that is as high: a first floor, which lets few too many pass.
    highest = _find_maxima(scratch, touched_count)
    floor = _floor(scratch.maxima[:touched_count], highest, most)
    last = _collect(scratch, touched_count, floor, np.float32(np.inf))
    closer = _floor(scratch.candidate_scores[:last], highest, most)
    if closer > floor:
        floor, last = closer, _drop(scratch, last, closer)
    index = 0
    while index < last or (kept < most and floor > 0):
        if index == last:
            # More of the best were masked than were looked at beyond those asked for.
            last = _collect(scratch, touched_count, np.float32(0), floor)
            index, floor = 0, np.float32(0)
            continue
        slot = np.uint32(scratch.candidates[index])
        index += 1
        score = scratch.scores[slot]
        if score < worst:
            continue
        position = ground.position_of[slot]
        if position < 0 or marks[position] & _HIDDEN:
            continue
        book_id = ground.ids[position]
        if is_heap and not _better(score, book_id, scores[heap[0]], ids[heap[0]]):
            continue
        if not _is_within(position, ground.category_bits, clauses):
            continue
        if (
            in_order
            and ground.series_of[position] >= 0
            and _is_too_early(
                position,
                ground.series_of[position],
                ground.series_starts,
                ground.series_members,
                ground.series_volumes,
                marks,
            )
        ):
            continue
        work = ground.work_of[position] if one_edition else -1
        if work >= 0:
            second = False
            for member in range(ground.work_starts[work], ground.work_starts[work + 1]):
                other = ground.work_members[member]
                early = (
                    in_order
                    and ground.series_of[other] >= 0
                    and _is_too_early(
                        other,
                        ground.series_of[other],
                        ground.series_starts,
                        ground.series_members,
                        ground.series_volumes,
                        marks,
                    )
                )
                second |= (
                    _better(scratch.scores[ground.slot_of[other]], ground.ids[other], score, book_id)
                    and not marks[other] & _HIDDEN
                    and not early
                    and _is_within(other, ground.category_bits, clauses)
                )
            if second:
                continue
        if kept < most:
            positions[kept], scores[kept], ids[kept] = position, score, book_id
            heap[kept] = kept
            kept += 1
            continue
        if not is_heap:
            for start in range(most // 2 - 1, -1, -1):
                _sift_down(heap, start, most, scores, ids)
            is_heap = True
        place = heap[0]
        if _better(score, book_id, scores[place], ids[place]):
            positions[place], scores[place], ids[place] = position, score, book_id
            _sift_down(heap, 0, most, scores, ids)
        worst = scores[heap[0]]
    return kept


@njit(types.float32(readonly(types.float32), readonly(types.float32)), fastmath=True, nogil=True, cache=True)
def _dot(one, other):
    total = np.float32(0)
    for index in range(len(one)):
        total += one[index] * other[index]
    return total


@njit(
    [
        types.void(readonly(kind, 2), readonly(types.int64), readonly(types.float32), types.float32[::1])
        for kind in (types.float32, types.int8)
    ],
    fastmath=True,
    nogil=True,
    cache=True,
)
def _dots(rows, numbers, vector, out):
    """Multiply rows of a matrix, -1 for none, by a vector; four at a time, so that their loads overlap."""
    count, dimensions, line = len(numbers), len(vector), _LINE_BYTES // rows.itemsize
    place = 0
    for ahead in range(min(_FACTORS_AHEAD, count)):
        for index in range(0, dimensions, line):
            _fetch(rows, max(numbers[ahead], 0) * dimensions + index)
    while place + 4 <= count and numbers[place : place + 4].min() >= 0:
        one, two = rows[numbers[place]], rows[numbers[place + 1]]
        three, four = rows[numbers[place + 2]], rows[numbers[place + 3]]
        for ahead in range(place + _FACTORS_AHEAD, min(place + _FACTORS_AHEAD + 4, count)):
            for index in range(0, dimensions, line):
                _fetch(rows, max(numbers[ahead], 0) * dimensions + index)
        a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for index in range(dimensions):
            value = vector[index]
            a += np.float32(one[index]) * value
            b += np.float32(two[index]) * value
            c += np.float32(three[index]) * value
            d += np.float32(four[index]) * value
        out[place], out[place + 1], out[place + 2], out[place + 3] = a, b, c, d
        place += 4
    for rest in range(place, count):
        total = np.float32(0)
        if numbers[rest] >= 0:
            for index in range(dimensions):
                total += np.float32(rows[numbers[rest], index]) * vector[index]
        out[rest] = total


@njit(
    types.float32[::1](GROUND, readonly(types.int32), readonly(types.float32), readonly(types.int32)),
    nogil=True,
    cache=True,
)
def _folded_in(ground, history, preferences, liked):
    """Return the reader's factors: x = Eᵀ a with a = (E Eᵀ + diag((1 + p)^g / r))⁻¹ 1, by Cholesky."""
    dimensions = ground.source_factors.shape[1]
    row_count = len(ground.indptr) - 1
    factors = np.empty((len(liked), dimensions), dtype=np.float32)
    lower = np.empty((len(liked), len(liked)), dtype=np.float32)
    solved = np.empty(len(liked), dtype=np.float32)
    numbers = np.arange(len(liked))
    count = 0
    for step in range(len(liked)):
        row = ground.slot_of[history[liked[step]]]
        if row >= row_count:
            continue
        factors[count] = ground.source_factors[row]
        _dots(factors, numbers[: count + 1], factors[count], lower[count, : count + 1])
        lower[count, count] += ground.resistance[step] / preferences[liked[step]]
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
        for index in range(dimensions):
            reader[index] += solved[row] * factors[row, index]
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
        readonly(types.int32),
        types.int64,
        readonly(types.int32),
        types.float32[::1],
    ),
    nogil=True,
    cache=True,
)
def _blend(ground, reader, weight, order, rerank_count, positions, scores):
    """Score the first candidates anew by neighbours and factors; those behind them keep their order."""
    count = min(rerank_count, len(order))
    row_count = len(ground.indptr) - 1
    rows = np.empty(count, dtype=np.int64)
    sparse = np.empty(count, dtype=np.float32)
    by_factors = np.empty(count, dtype=np.float32)
    for place in range(count):
        slot = ground.slot_of[positions[order[place]]]
        rows[place] = slot if slot < row_count else -1
        sparse[place] = scores[order[place]]
    _dots(ground.target_factors, rows, reader, by_factors)
    for place in range(count):
        by_factors[place] *= ground.target_scales[max(rows[place], 0)]
    sparse_mean, factors_mean = _mean_of_highest(sparse), _mean_of_highest(by_factors)
    lowest = np.float32(np.inf)
    for place in range(count):
        score = (1 - weight) * sparse[place] / sparse_mean
        if factors_mean > 0:
            score += weight * by_factors[place] / factors_mean
        scores[order[place]] = score
        lowest = min(lowest, score)
    for place in range(count, len(order)):
        # What the list is sorted by never rises.
        lowest = min((1 - weight) * scores[order[place]] / sparse_mean, lowest)
        scores[order[place]] = lowest


@njit(
    types.int64(types.int32[::1], types.int64, readonly(types.float32), readonly(types.int64)),
    nogil=True,
    cache=True,
)
def _sort_best(order, most, scores, ids):
    """Sort the best so many to the front; returns how many they are."""
    kept = min(most, len(order))
    for start in range(kept // 2 - 1, -1, -1):
        _sift_down(order, start, kept, scores, ids)
    if kept:
        for place in range(kept, len(order)):
            mine, worst = order[place], order[0]
            if _better(scores[mine], ids[mine], scores[worst], ids[worst]):
                order[0], order[place] = mine, worst
                _sift_down(order, 0, kept, scores, ids)
    # By moving the worst to the end, again and again.
    for end in range(kept - 1, 0, -1):
        order[0], order[end] = order[end], order[0]
        _sift_down(order, 0, end, scores, ids)
    return kept


@njit(
    types.void(GROUND, SCRATCH, readonly(types.int32), readonly(types.float32), readonly(types.int32)),
    nogil=True,
    cache=True,
)
def _find_strongest(ground, scratch, history, preferences, liked):
    """Find which book of the history added most to each of the chosen."""
    chosen, strongest, sources = scratch.chosen, scratch.strongest, scratch.strongest_source
    row_count = len(ground.indptr) - 1
    longest = 0
    for step in range(len(liked)):
        row = ground.slot_of[history[liked[step]]]
        if row < row_count:
            longest = max(longest, ground.indptr[row + 1] - ground.indptr[row])
    found = np.empty(longest + 1, dtype=np.uint64)
    for step in range(len(liked)):
        source = history[liked[step]]
        preference = preferences[liked[step]] * ground.recency[step]
        row = ground.slot_of[source]
        if row < row_count:
            # First without a branch, as few of them are chosen and nothing tells which.
            count = np.uint64(0)
            for cell in range(np.uint64(ground.indptr[row]), np.uint64(ground.indptr[row + 1])):
                found[count] = cell
                count += np.uint64(chosen[np.uint32(ground.indices[cell])])
            for place in range(count):
                cell = found[place]
                slot = np.uint32(ground.indices[cell])
                if preference * ground.weights[cell] > strongest[slot]:
                    strongest[slot] = preference * ground.weights[cell]
                    sources[slot] = source
        if len(ground.content_starts) > 1:
            for cell in range(ground.content_starts[source], ground.content_starts[source + 1]):
                slot = np.uint32(ground.slot_of[ground.content_targets[cell]])
                if chosen[slot] and preference * ground.content_weights[cell] > strongest[slot]:
                    strongest[slot] = preference * ground.content_weights[cell]
                    sources[slot] = source


@njit(
    types.UniTuple(types.int64, 2)(
        readonly(types.int64),  # ground's layout
        readonly(types.int64),  # scratch's
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
        types.boolean,  # with_reasons
        types.int64,  # rerank_count
        types.float32,  # rerank_weight
        types.int32[:, ::1],  # out_positions, out_sources
        types.float32[:, ::1],  # out_scores, out_shares
    ),
    nogil=True,
    cache=True,
)
def rank_arrays(
    ground_layout,
    scratch_layout,
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
    with_reasons,
    rerank_count,
    rerank_weight,
    out_books,
    out_numbers,
):
    """Rank; returns how many places follow from the history, and how many are filled in all."""
    ground, scratch = _ground_of(ground_layout), _scratch_of(scratch_layout)
    out_positions, out_sources = out_books[0], out_books[1]
    out_scores, out_shares = out_numbers[0], out_numbers[1]
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
        marks[history[place]] |= mark
        work = ground.work_of[history[place]] if one_edition else -1
        if work >= 0 and mark:
            _mark_editions(work, mark, ground.work_starts, ground.work_members, marks)
    liked = liked[:liked_count]
    for position in excluded:
        marks[position] |= _HIDDEN

    touched_count = _sum(ground, scratch, history, preferences, liked)
    # What was read would stand before all others.
    for position in history:
        if marks[position] & _HIDDEN:
            scratch.scores[np.uint32(ground.slot_of[position])] = 0
    reranks = rerank_weight > 0 and ground.source_factors.shape[1] > 0
    most = min(max(places, rerank_count) if reranks else places, touched_count * BLOCK)
    order, positions = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    scores, ids = np.empty(most, dtype=np.float32), np.empty(most, dtype=np.int64)
    found = _select(
        ground, scratch, touched_count, clauses, one_edition, in_order, order, positions, scores, ids
    )
    order = order[:found]
    if reranks and found:
        if found > rerank_count:
            _sort_best(order, found, scores, ids)
        reader = _folded_in(ground, history, preferences, liked)
        _blend(ground, reader, rerank_weight, order, rerank_count, positions, scores)
    # What was not ranked anew stands behind, in order.
    _sort_best(order[:rerank_count] if reranks else order, places, scores, ids)
    kept = min(found, places)

    for place in range(kept):
        position = positions[order[place]]
        out_positions[place], out_scores[place] = position, scores[order[place]]
        marks[position] |= _CHOSEN
        if one_edition and ground.work_of[position] >= 0:
            _mark_editions(ground.work_of[position], _CHOSEN, ground.work_starts, ground.work_members, marks)
    if with_reasons and kept:
        for place in range(kept):
            slot = ground.slot_of[out_positions[place]]
            scratch.chosen[slot], scratch.strongest[slot] = 1, 0
        _find_strongest(ground, scratch, history, preferences, liked)
        for place in range(kept):
            slot = ground.slot_of[out_positions[place]]
            scratch.chosen[slot] = 0
            out_sources[place] = scratch.strongest_source[slot]
            # Above all of it where dislikes took away more than the others gave.
            out_shares[place] = min(scratch.strongest[slot] / scratch.scores[slot], np.float32(1))

    # Fill what is left with popular books.
    filled = kept
    for target in popular:
        if filled == places:
            break
        seen = marks[target] & (_HIDDEN | _CHOSEN)
        if seen or not _is_within(target, ground.category_bits, clauses):
            continue
        if (
            in_order
            and ground.series_of[target] >= 0
            and _is_too_early(
                target,
                ground.series_of[target],
                ground.series_starts,
                ground.series_members,
                ground.series_volumes,
                marks,
            )
        ):
            continue
        out_positions[filled] = target
        filled += 1
        if one_edition and ground.work_of[target] >= 0:
            _mark_editions(ground.work_of[target], _CHOSEN, ground.work_starts, ground.work_members, marks)

    # Leave the scratch as clean as it was found.
    for index in range(touched_count):
        block = np.uintp(scratch.touched[index])
        scratch.seen[block] = 0
        for lane in range(BLOCK):
            scratch.scores[block * np.uintp(BLOCK) + np.uintp(lane)] = 0
    for place in range(filled):
        marks[out_positions[place]] = 0
        if ground.work_of[out_positions[place]] >= 0:
            _mark_editions(
                ground.work_of[out_positions[place]], 0, ground.work_starts, ground.work_members, marks
            )
    for place in range(len(history)):
        marks[history[place]] = 0
        if ground.work_of[history[place]] >= 0:
            _mark_editions(ground.work_of[history[place]], 0, ground.work_starts, ground.work_members, marks)
    for position in excluded:
        marks[position] = 0
    return kept, filled
