"""The rules that a model's arrays keep, checked in a few vectorised passes; knows nothing of files."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def broken_rule(arrays: Mapping[str, NDArray]) -> tuple[str, str] | None:
    """Return the first array that breaks a rule of ItemModel and the rule in words, or None.

    A kernel without bounds checks runs over these arrays: an index out of range would read foreign memory.
    """
    book_ids, indptr, indices = arrays["book_ids"], arrays["indptr"], arrays["indices"]
    weights, popularity = arrays["weights"], arrays["popularity"]
    book_count, neighbour_count = len(book_ids), len(indices)
    if np.any(book_ids[1:] <= book_ids[:-1]):
        return "book_ids", "is not strictly ascending"
    if len(indptr) != book_count + 1:
        return "indptr", f"has {len(indptr)} entries for {book_count} books, not one more than books"
    if indptr[0] != 0 or indptr[-1] != neighbour_count:
        return "indptr", f"does not run from 0 to the {neighbour_count} entries of indices"
    if np.any(indptr[1:] < indptr[:-1]):
        return "indptr", "descends"
    if neighbour_count and not (indices.min() >= 0 and indices.max() < book_count):
        return "indices", f"names a position outside 0 to {book_count - 1}"
    if len(weights) != neighbour_count:
        return "weights", f"has {len(weights)} entries for {neighbour_count} neighbours"
    if len(popularity) != book_count:
        return "popularity", f"has {len(popularity)} entries for {book_count} books"
    for name, values in (("weights", weights), ("popularity", popularity)):
        # NaN fails both comparisons.
        if len(values) and not (values.min() >= 0 and values.max() < np.inf):
            return name, "holds a value that is negative or not finite"
    return None
