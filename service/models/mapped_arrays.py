"""Maps .npy files into memory and gives the pages back; knows nothing of what the arrays mean."""

import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# populate(2): Linux 5.14; the mmap module has no name for it yet. Older kernels answer EINVAL.
_MADV_POPULATE_READ = 22
# The interpreter is held meanwhile: a tenth of a millisecond, which no call notices.
_TOUCHED_BYTES = 1 << 20


def map_array(path: Path) -> NDArray:
    """Map the array in a file, read-only; processes that map the same file share its pages.

    Raises OSError, and ValueError for a file that is not one of NumPy's.
    """
    # A plain view: the memmap class makes every slice on the request path several times dearer.
    return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)


def give_back(array: NDArray) -> None:
    """Let this process's pages of a mapped array go; they stay in the page cache for who asks next.

    Without this, a pass over an array counts in the memory of the process for as long as it is mapped.
    """
    if (mapping := _mapping(array)) is not None:
        mapping.madvise(mmap.MADV_DONTNEED)


def touch(array: NDArray, max_bytes: int, rest: Callable[[], object]) -> None:
    """Have the first pages of a mapped array in this process's memory before somebody waits for them.

    `rest` is called after each megabyte.
    """
    if (mapping := _mapping(array)) is None:
        return
    length = min(len(mapping), max_bytes)
    try:
        for start in range(0, length, _TOUCHED_BYTES):
            mapping.madvise(_MADV_POPULATE_READ, start, min(_TOUCHED_BYTES, length - start))
            rest()
    except OSError:
        # At least from the disk into the page cache.
        mapping.madvise(mmap.MADV_WILLNEED, 0, length)


def _mapping(array: NDArray) -> mmap.mmap | None:
    base = array.base
    # NumPy keeps the mapping of a memmap there; an empty array has none that could be advised about.
    return base._mmap if isinstance(base, np.memmap) else None  # type: ignore[attr-defined]
