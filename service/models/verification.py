"""The rules that a model's arrays keep, checked in a few vectorised passes; knows nothing of files."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

# 1 MB of float32: a block takes a core for a tenth of a millisecond, and costs no more than its bytes.
BLOCK_LENGTH = 256 * 1024
# So that sums of products of factors stay finite in float32.
LARGEST_FACTOR = 1e12


def broken_rule(
    arrays: Mapping[str, NDArray], *, seen: Callable[[str], object] = lambda name: None
) -> tuple[str, str] | None:
    """Return the first array that breaks a rule of ItemModel and the rule in words, or None.

    A kernel without bounds checks runs over these arrays: an index out of range would read foreign memory.
    `seen` is told the name of the array of which a block has been looked at.
    """

    def blocks(name: str, overlap: int = 0) -> Iterator[NDArray]:
        values = arrays[name].reshape(-1)
        for start in range(0, len(values), BLOCK_LENGTH):
            yield values[start : start + BLOCK_LENGTH + overlap]
            seen(name)

    indptr = arrays["indptr"]
    book_count, neighbour_count = len(arrays["book_ids"]), len(arrays["indices"])
    if any(np.any(block[1:] <= block[:-1]) for block in blocks("book_ids", overlap=1)):
        return "book_ids", "is not strictly ascending"
    if len(indptr) != book_count + 1:
        return "indptr", f"has {len(indptr)} entries for {book_count} books, not one more than books"
    if indptr[0] != 0 or indptr[-1] != neighbour_count:
        return "indptr", f"does not run from 0 to the {neighbour_count} entries of indices"
    if any(np.any(block[1:] < block[:-1]) for block in blocks("indptr", overlap=1)):
        return "indptr", "descends"
    if not all(block.min() >= 0 and block.max() < book_count for block in blocks("indices")):
        return "indices", f"names a position outside 0 to {book_count - 1}"
    if len(arrays["weights"]) != neighbour_count:
        return "weights", f"has {len(arrays['weights'])} entries for {neighbour_count} neighbours"
    if len(arrays["popularity"]) != book_count:
        return "popularity", f"has {len(arrays['popularity'])} entries for {book_count} books"
    shapes = {name: arrays[name].shape for name in ("source_factors", "target_factors")}
    for name, shape in shapes.items():
        if len(shape) != 2 or (shape[1] and shape[0] != book_count):
            return name, f"has the shape {list(shape)} for {book_count} books"
        if shape[1] != shapes["source_factors"][1]:
            return name, f"has {shape[1]} factors a book, source_factors {shapes['source_factors'][1]}"
    factor_count = shapes["source_factors"][1]
    if len(arrays["target_scales"]) != (book_count if factor_count else 0):
        scales = len(arrays["target_scales"])
        return "target_scales", f"has {scales} entries for {book_count} books of {factor_count} factors"
    for name in ("source_factors", "target_scales"):
        if not all(np.abs(block).max(initial=0) < LARGEST_FACTOR for block in blocks(name)):
            return name, f"holds a value that is not finite or not below {LARGEST_FACTOR:.0e}"
    for name in ("weights", "popularity"):
        # NaN fails both comparisons.
        if not all(block.min() >= 0 and block.max() < np.inf for block in blocks(name)):
            return name, "holds a value that is negative or not finite"
    return None
