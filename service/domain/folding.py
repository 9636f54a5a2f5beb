"""A reader's events folded into the books that count now; knows arrays alone, compiled, without the GIL.

Events lie in time order, those of one instant as they arrived; one that is there already (same book, code and
time) has no effect. A REMOVE undoes all that came before it between the reader and the book. Of what is left
the strongest event and the last rating count: one below the mean of the reader's ratings speaks against the
book, whatever else was done with it. So does NOT_INTERESTED, until the reader takes the book up or wishes for
it after all; a view takes nothing back.

What events make of a book is one of 256 states, so that folding an event is one look into a table.
"""

import numpy as np
from numpy.typing import NDArray

from service.domain.compiled import njit, types
from service.domain.interactions import (
    CODE_WEIGHTS,
    HIGHEST_RATING,
    IS_READ_TYPE,
    LOWEST_RATING,
    RATING_CODE,
    TYPE_WEIGHTS,
    InteractionType,
)

# A state's bits; 0 is that of a book with which nothing was done. Above them twice the rating, 0: none.
_READ, _UNWANTED = 1, 2
_STRENGTH_SHIFT, _STRENGTH_BITS = 2, 3  # of the strongest event, its number in _STRENGTHS
_RATING_SHIFT = 4
_STRENGTHS = sorted(set(TYPE_WEIGHTS.tolist()))

_CODES = 32  # more than there are, a power of two
# Knuth's multiplicative hashing; upper bits, because books at equal distances differ in those alone.
_HASH, _HASH_SHIFT = 2_654_435_761, 13


def _after(state: int, code: int) -> int:
    """Return the state of a book after an event."""
    read, unwanted = state & _READ, state & _UNWANTED
    strength, rating = state >> _STRENGTH_SHIFT & _STRENGTH_BITS, state >> _RATING_SHIFT
    if code == InteractionType.REMOVE:
        return 0
    if code == InteractionType.NOT_INTERESTED:
        unwanted = _UNWANTED
    elif code >= RATING_CODE:
        read, unwanted, rating = _READ, 0, (code - RATING_CODE) & 15
    elif code < len(TYPE_WEIGHTS):
        strength = max(strength, _STRENGTHS.index(CODE_WEIGHTS[code]))
        unwanted = unwanted if code == InteractionType.VIEW else 0
        read = _READ if IS_READ_TYPE[code] else read
    return read | unwanted | strength << _STRENGTH_SHIFT | rating << _RATING_SHIFT


# Handed to the kernel, not compiled into it: a cached kernel would not notice that a weight has changed.
_TRANSITIONS = np.array([[_after(state, code) for code in range(_CODES)] for state in range(256)], np.uint8)
_STRENGTH_OF = np.array(
    [_STRENGTHS[state >> _STRENGTH_SHIFT & _STRENGTH_BITS] for state in range(256)], np.float32
)


def _array(dtype: types.Type, dimensions: int = 1, *, readonly: bool = False) -> types.Array:
    return types.Array(dtype, dimensions, "C", readonly=readonly)


@njit(
    types.int64(
        _array(types.int32, readonly=True),  # positions
        _array(types.uint8, readonly=True),  # codes
        _array(types.int64, readonly=True),  # times
        _array(types.uint8, 2, readonly=True),  # transitions
        _array(types.float32, readonly=True),  # strengths
        _array(types.int32),  # slots: all -1, a power of two, twice as long at least
        _array(types.int32),  # books
        _array(types.uint8),  # states
        _array(types.int32),  # last
        _array(types.uint32),  # seen
        _array(types.int32),  # out_positions
        _array(types.float32),  # out_preferences
        _array(types.boolean),  # out_read
        _array(types.boolean),  # out_unwanted
    ),
    nogil=True,
    cache=True,
)
def _fold(
    positions,
    codes,
    times,
    transitions,
    strengths,
    slots,
    books,
    states,
    last,
    seen,
    out_positions,
    out_preferences,
    out_read,
    out_unwanted,
):
    """Fold one reader's events; returns how many books are left, in the order of their last events.

    A book has the number of its first event, at which its state and its last event stand.
    """
    mask = len(slots) - 1
    event_count = len(positions)
    timed = len(times) > 0
    for event in range(event_count):
        position, code = positions[event], codes[event] & (_CODES - 1)
        # Open addressing.
        place = ((position * _HASH) >> _HASH_SHIFT) & mask
        while slots[place] >= 0 and positions[slots[place]] != position:
            place = (place + 1) & mask
        book = slots[place]
        if book < 0:
            book = slots[place] = last[event] = event
            states[event] = 0
        books[event] = book
        if timed and (
            (event > 0 and times[event - 1] == times[event])
            or (event + 1 < event_count and times[event + 1] == times[event])
        ):
            # Only events of one instant can be there twice. `seen` has a bit for each code.
            if last[book] == event or times[last[book]] != times[event]:
                seen[book] = 0
            bit = np.uint32(1) << np.uint32(code)
            if seen[book] & bit:
                continue
            seen[book] |= bit
        states[book] = transitions[states[book], code]
        last[book] = event

    rated, total = 0, 0  # of doubled ratings
    for event in range(event_count):
        if books[event] == event:
            halves = states[event] >> _RATING_SHIFT
            rated += halves > 0
            total += halves
    mean = total / rated / 2 if rated else 0.0

    count = 0
    for event in range(event_count):
        book = books[event]
        state = states[book]
        if last[book] != event or state == 0:
            continue
        rating = (state >> _RATING_SHIFT) / 2
        if state & _UNWANTED:
            preference = -1.0
        elif rating == 0:
            preference = strengths[state]
        elif rating < mean:
            preference = (rating - mean) / (HIGHEST_RATING - LOWEST_RATING)
        else:
            preference = max(strengths[state], (rating - LOWEST_RATING) / (HIGHEST_RATING - LOWEST_RATING))
        out_positions[count] = positions[event]
        out_preferences[count] = preference
        out_read[count] = (state & _READ) != 0
        out_unwanted[count] = (state & _UNWANTED) != 0
        count += 1
    return count


@njit(
    types.int64(
        _array(types.int64, readonly=True),  # starts
        _array(types.int32, readonly=True),  # positions
        _array(types.uint8, readonly=True),  # codes
        _array(types.int64, readonly=True),  # times
        _array(types.uint8, 2, readonly=True),  # transitions
        _array(types.float32, readonly=True),  # strengths
        _array(types.int64),  # out_starts
        _array(types.int32),  # out_positions
        _array(types.float32),  # out_preferences
        _array(types.boolean),  # out_read
        _array(types.boolean),  # out_unwanted
    ),
    nogil=True,
    cache=True,
)
def _fold_all(
    starts,
    positions,
    codes,
    times,
    transitions,
    strengths,
    out_starts,
    out_positions,
    out_preferences,
    out_read,
    out_unwanted,
):
    longest = 0
    for reader in range(len(starts) - 1):
        longest = max(longest, starts[reader + 1] - starts[reader])
    size = 2
    while size < 2 * longest:
        size *= 2
    all_slots = np.empty(size, dtype=np.int32)
    books = np.empty(longest, dtype=np.int32)
    states = np.empty(longest, dtype=np.uint8)
    last = np.empty(longest, dtype=np.int32)
    seen = np.empty(longest, dtype=np.uint32)
    written = 0
    for reader in range(len(starts) - 1):
        start, end = starts[reader], starts[reader + 1]
        size = 2
        while size < 2 * (end - start):
            size *= 2
        slots = all_slots[:size]
        slots[:] = -1
        out_starts[reader] = written
        written += _fold(
            positions[start:end],
            codes[start:end],
            times[start:end],
            transitions,
            strengths,
            slots,
            books,
            states,
            last,
            seen,
            out_positions[written:],
            out_preferences[written:],
            out_read[written:],
            out_unwanted[written:],
        )
    out_starts[len(starts) - 1] = written
    return written


def fold_all(
    starts: NDArray[np.int64],
    positions: NDArray[np.int32],
    codes: NDArray[np.uint8],
    times: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Fold the events of r readers, reader i's from starts[i] to starts[i + 1], each in time order.

    Where no event is there twice (see repeats.py), `times` may be left empty.
    Returns starts [r + 1] into the other arrays, and of each book that is left its position, the preference,
    whether it was read, and whether it is not wanted. A reader's books lie in the order of their last events.
    A preference is -1 to 1: the weight of the strongest event, where a rating weighs (rating - 1) / 4; of a
    book rated below the mean of the reader's ratings (rating - mean) / 4; of one not wanted -1.
    """
    event_count = len(positions)
    out_starts = np.empty(len(starts), dtype=np.int64)
    out_positions = np.empty(event_count, dtype=np.int32)
    out_preferences = np.empty(event_count, dtype=np.float32)
    out_read = np.empty(event_count, dtype=np.bool_)
    out_unwanted = np.empty(event_count, dtype=np.bool_)
    count = _fold_all(
        starts,
        positions,
        codes,
        times,
        _TRANSITIONS,
        _STRENGTH_OF,
        out_starts,
        out_positions,
        out_preferences,
        out_read,
        out_unwanted,
    )
    return out_starts, out_positions[:count], out_preferences[:count], out_read[:count], out_unwanted[:count]
