"""Where arrays lie in memory, written down once, so that compiled code finds all of them by one array.

To take thirty arrays over from Python takes numba longer than some rankings take. Knows nothing of what is in
them.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORD_BYTES = 8


def _words_of(dimensions: int) -> int:
    """Return how many words an array takes up in a layout."""
    return 5 + 2 * dimensions


def bytes_of(dimensions: Sequence[int]) -> int:
    """Return the size of the layout of arrays with so many dimensions each."""
    return _WORD_BYTES * sum(map(_words_of, dimensions))


def form_of(parts: Sequence[Any]) -> str:
    """Return a short name of what arrays are there: another one for other names, kinds or order."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def laid_out(arrays: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    """Return C-contiguous arrays and, as the last, their layout: what numba makes of a tuple of all of them.

    Of each array the words of numba's ArrayModel: no counter of references and no owner, which are left to
    whoever keeps the tuple, the number of items and their size, the address, the shape and the strides.
    """
    layout = np.empty(sum(_words_of(array.ndim) for array in arrays) + _words_of(1), dtype=np.int64)
    everything = (*arrays, layout)
    words = [
        (0, 0, array.size, array.itemsize, array.__array_interface__["data"][0], *array.shape, *array.strides)
        for array in everything
    ]
    layout[:] = np.concatenate(words)
    layout.flags.writeable = False
    return everything
