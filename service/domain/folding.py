"""A reader's events folded into the books that count now; knows arrays alone, compiled, without the GIL.

Events lie in time order, those of one instant as they arrived; one that is there already (same book, code and
time) has no effect. A REMOVE undoes all that came before it between the reader and the book. Of what is left
the last rating tells the preference; where there is none, the strongest event does. NOT_INTERESTED speaks
against a book until the reader takes it up or wishes for it after all; a view takes nothing back.
"""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from service.domain.interactions import (
    CODE_WEIGHTS,
    HIGHEST_RATING,
    IS_READ_TYPE,
    LOWEST_RATING,
    RATING_CODE,
    InteractionType,
)

_VIEW, _REMOVE, _NOT_INTERESTED = (
    int(kind) for kind in (InteractionType.VIEW, InteractionType.REMOVE, InteractionType.NOT_INTERESTED)
)
_RANGE = HIGHEST_RATING - LOWEST_RATING
_READ, _UNWANTED = 1, 2
# Knuth's multiplicative hashing; upper bits, because books at equal distances differ in those alone.
_HASH, _HASH_SHIFT = 2_654_435_761, 13


def _array(dtype: types.Type, *, readonly: bool = False) -> types.Array:
    return types.Array(dtype, 1, "C", readonly=readonly)


@njit(
    types.int64(
        _array(types.int32, readonly=True),  # positions
        _array(types.uint8, readonly=True),  # codes
        _array(types.int64, readonly=True),  # times
        _array(types.int32),  # slots: all -1, a power of two, twice as long at least
        _array(types.int32),  # last
        _array(types.float32),  # strongest
        _array(types.float32),  # ratings
        _array(types.uint8),  # flags
        _array(types.uint32),  # seen
        _array(types.int64),  # seen_at
        _array(types.int32),  # out_positions
        _array(types.float32),  # out_preferences
        _array(types.uint8),  # out_flags
    ),
    nogil=True,
    cache=True,
)
def _fold(
    positions,
    codes,
    times,
    slots,
    last,
    strongest,
    ratings,
    flags,
    seen,
    seen_at,
    out_positions,
    out_preferences,
    out_flags,
):
    """Fold one reader's events; returns how many books are left, in the order of their last events.

    What is kept of a book stands at the number of its first event: of `seen`, bit c tells that an event of
    code c (31 at most) was there at the instant `seen_at`.
    """
    mask = len(slots) - 1
    for event in range(len(positions)):
        position, code = positions[event], codes[event]
        # `slots` finds the first event of a book by open addressing.
        place = ((position * _HASH) >> _HASH_SHIFT) & mask
        while slots[place] >= 0 and positions[slots[place]] != position:
            place = (place + 1) & mask
        if slots[place] < 0:
            slots[place] = event
            last[event] = -1
            seen[event] = 0
        book = slots[place]
        bit = np.uint32(1) << code
        if seen_at[book] != times[event]:
            seen[book] = 0
        if seen[book] & bit:
            continue
        seen[book] |= bit
        seen_at[book] = times[event]
        if last[book] < 0 or code == _REMOVE:
            strongest[book], ratings[book], flags[book] = 0, -1, 0
        last[book] = -1 if code == _REMOVE else event
        if code >= RATING_CODE:
            ratings[book] = (code - RATING_CODE) / np.float32(2)
            flags[book] = _READ
        elif code == _NOT_INTERESTED:
            flags[book] |= _UNWANTED
        elif code != _REMOVE:
            strongest[book] = max(strongest[book], CODE_WEIGHTS[code])
            if code != _VIEW:
                flags[book] &= _READ
            if IS_READ_TYPE[code]:
                flags[book] |= _READ

    # An event that is the last of its book marks the book's place; `slots` has the books in no order.
    rated, total = 0, np.float64(0)
    for place in range(len(slots)):
        book = slots[place]
        if book >= 0 and last[book] >= 0 and ratings[book] >= 0:
            rated += 1
            total += ratings[book]
    mean = total / rated if rated else 0.0

    count = 0
    for event in range(len(positions)):
        place = ((positions[event] * _HASH) >> _HASH_SHIFT) & mask
        while positions[slots[place]] != positions[event]:
            place = (place + 1) & mask
        book = slots[place]
        if last[book] != event:
            continue
        if flags[book] & _UNWANTED:
            preference = np.float32(-1)
        elif ratings[book] < 0:
            preference = strongest[book]
        elif ratings[book] < mean:
            preference = np.float32((ratings[book] - mean) / _RANGE)
        else:
            preference = np.float32((ratings[book] - LOWEST_RATING) / _RANGE)
        out_positions[count] = positions[event]
        out_preferences[count] = preference
        out_flags[count] = flags[book]
        count += 1
    return count


@njit(
    types.int64(
        _array(types.int64, readonly=True),  # starts
        _array(types.int32, readonly=True),  # positions
        _array(types.uint8, readonly=True),  # codes
        _array(types.int64, readonly=True),  # times
        _array(types.int32),  # out_positions
        _array(types.float32),  # out_preferences
        _array(types.uint8),  # out_flags
        _array(types.int64),  # out_starts
    ),
    nogil=True,
    cache=True,
)
def _fold_all(starts, positions, codes, times, out_positions, out_preferences, out_flags, out_starts):
    longest = 0
    for reader in range(len(starts) - 1):
        longest = max(longest, starts[reader + 1] - starts[reader])
    size = 2
    while size < 2 * longest:
        size *= 2
    all_slots = np.empty(size, dtype=np.int32)
    last = np.empty(longest, dtype=np.int32)
    strongest = np.empty(longest, dtype=np.float32)
    ratings = np.empty(longest, dtype=np.float32)
    flags = np.empty(longest, dtype=np.uint8)
    seen = np.empty(longest, dtype=np.uint32)
    seen_at = np.zeros(longest, dtype=np.int64)
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
            slots,
            last,
            strongest,
            ratings,
            flags,
            seen,
            seen_at,
            out_positions[written:],
            out_preferences[written:],
            out_flags[written:],
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

    Returns starts [r + 1] into the other arrays, and of each book that is left its position, the preference
    (-1 to 1), whether it was read, and whether it is not wanted. A reader's books lie in the order of their
    last events.
    """
    out_starts = np.zeros(len(starts), dtype=np.int64)
    out_positions = np.empty(len(positions), dtype=np.int32)
    out_preferences = np.empty(len(positions), dtype=np.float32)
    out_flags = np.empty(len(positions), dtype=np.uint8)
    count = _fold_all(starts, positions, codes, times, out_positions, out_preferences, out_flags, out_starts)
    flags = out_flags[:count]
    return (
        out_starts,
        out_positions[:count],
        out_preferences[:count],
        (flags & _READ) != 0,
        (flags & _UNWANTED) != 0,
    )
