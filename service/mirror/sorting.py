"""Sorts more rows than memory holds, by one column, in files; knows nothing of what the rows are."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Rows sorted at a time, about: some ten megabytes each, and as much again to sort them.
_ROWS_A_BUCKET = 1_000_000
# Files open at once, well under the 1,024 that a process may have; with so many, buckets become larger.
_MOST_BUCKETS = 255
_ROWS_A_READ = 262_144


def read_rows(path: Path, kind: np.dtype) -> Iterator[NDArray]:
    """Yield the rows of a file in its order, some at a time."""
    with path.open("rb") as file:
        while octets := file.read(_ROWS_A_READ * kind.itemsize):
            yield np.frombuffer(octets, dtype=kind)


def sorted_rows(
    blocks: Iterable[NDArray], key: str, samples: NDArray[np.int64], row_count: int, scratch: Path
) -> Iterator[NDArray]:
    """Yield rows by ascending key, those of one key in the order in which they come; `scratch` is for files.

    `samples` are keys drawn evenly from the rows: by them the rows are parted into buckets, each of which is
    sorted in memory. A key that fills a bucket by itself needs no sorting, however many rows it has.
    """
    firsts = _first_keys(samples, row_count)
    paths = [scratch / f"{key}-{bucket}" for bucket in range(len(firsts) + 1)]
    kind: np.dtype | None = None
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("xb")) for path in paths]
        for rows in blocks:
            kind = rows.dtype
            buckets = np.searchsorted(firsts, rows[key], side="right").astype(np.uint8)
            order = np.argsort(buckets, kind="stable")
            parted, ends = rows[order], np.cumsum(np.bincount(buckets, minlength=len(files)))
            for file, start, end in zip(files, [0, *ends.tolist()], ends.tolist(), strict=False):
                if end > start:
                    file.write(parted[start:end].view(np.uint8).data)
    for bucket, path in enumerate(paths):
        if kind is not None:
            if 0 < bucket < len(firsts) and firsts[bucket] == firsts[bucket - 1] + 1:
                yield from read_rows(path, kind)
            else:
                rows = np.fromfile(path, dtype=kind)
                yield rows[np.argsort(rows[key], kind="stable")]
        path.unlink()


def _first_keys(samples: NDArray[np.int64], row_count: int) -> NDArray[np.int64]:
    """Return the first key of every bucket but the lowest."""
    bucket_count = min(row_count // _ROWS_A_BUCKET + 1, _MOST_BUCKETS // 2)
    if bucket_count < 2 or not len(samples):
        return np.empty(0, dtype=np.int64)
    ranks = np.arange(1, bucket_count) * len(samples) // bucket_count
    firsts, times = np.unique(np.sort(samples)[ranks], return_counts=True)
    # A key that is more than one bucket's first has enough rows for a bucket to itself.
    frequent = firsts[(times > 1) & (firsts < np.iinfo(np.int64).max)]
    return np.union1d(firsts, frequent + 1)
