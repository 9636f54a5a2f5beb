"""New books' neighbours by what is known of them: series, author, category; knows no reader.

A book that nobody has read has no neighbours to learn. Until it has, it is a weak neighbour, both ways, of
the books of its series and its author, and a weaker one of the most popular books of its categories.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.catalogue import Catalogue
from service.domain.catalogue_pages import ANY_BIT
from service.domain.compiled import njit, types
from service.domain.model import ItemModel

# Of a strong learned neighbour's weight. Small: what was learned goes first, and new books must not crowd out
# what is known to be read.
_SERIES, _AUTHOR, _CATEGORY = 0.5, 0.25, 0.05
# Enough to be found by, few enough that a shelf of thousands costs nothing: known books that one new book is
# a neighbour of, and new books of one series, author or category, those that were added last.
_MOST_SERIES, _MOST_AUTHOR, _MOST_CATEGORY = 30, 30, 10
_MOST_NEW_ALIKE = 30
_MOST_NEW = 20_000  # the ones added last: a shop with more unread books than this has them in its back rooms
_LOOKED_THROUGH = 50_000  # of the books by popularity, for those of a category
_SAMPLED_ROWS = 1000


class ContentNeighbours(NamedTuple):
    """Neighbours beside those that were learned, CSR by source position."""

    starts: NDArray[np.int64]  # [positions + 1], or [1] where there are none
    targets: NDArray[np.int32]  # positions
    weights: NDArray[np.float32]


NO_CONTENT = ContentNeighbours(
    np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
)


def content_neighbours(
    catalogue: Catalogue, model: ItemModel | None, row_of: NDArray[np.int32], order: NDArray[np.int32]
) -> ContentNeighbours:
    """Find the neighbours of books that a model has not learned of; `order` has positions by popularity.

    `row_of` has the model's row of each position, -1 where it has none.
    """
    if model is None or not len(model.weights):
        return NO_CONTENT
    read = row_of >= 0
    read[read] = np.asarray(model.popularity)[row_of[read]] > 0
    there = (catalogue.category_bits[:, 0] >> np.uint64(ANY_BIT) & np.uint64(1)).astype(np.bool_)
    new = np.flatnonzero(there & ~read)[-_MOST_NEW:].astype(np.int32)
    known = order[:_LOOKED_THROUGH]
    known = known[read[known] & there[known]]
    if not len(new) or not len(known):
        return NO_CONTENT
    traits = catalogue.traits
    strong = _strong_weight(model)
    pairs = [
        (*_sharing(traits.series, new, known, _MOST_SERIES), _SERIES * strong),
        (*_sharing(traits.authors, new, known, _MOST_AUTHOR), _AUTHOR * strong),
        (*_on_one_shelf(catalogue, new, known, _MOST_CATEGORY), _CATEGORY * strong),
    ]
    ours = np.concatenate([pair[0] for pair in pairs])
    theirs = np.concatenate([pair[1] for pair in pairs])
    weights = np.concatenate([np.full(len(pair[0]), pair[2], dtype=np.float32) for pair in pairs])
    return _both_ways(len(catalogue), ours, theirs, weights)


def _strong_weight(model: ItemModel) -> float:
    """Return the weight of a typical book's closest neighbour."""
    rows = np.flatnonzero(np.diff(model.indptr))
    rows = rows[:: max(1, len(rows) // _SAMPLED_ROWS)]
    starts, ends = model.indptr[rows].tolist(), model.indptr[rows + 1].tolist()
    return float(np.median([model.weights[start:end].max() for start, end in zip(starts, ends, strict=True)]))


def _sharing(
    keys: NDArray[np.uint64], new: NDArray[np.int32], known: NDArray[np.int32], most: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pair each new book with the first `most` known ones of its key; 0 is no key."""
    known = known[keys[known] != 0]
    known = known[np.argsort(keys[known], kind="stable")]
    new = new[keys[new] != 0]
    new = new[np.argsort(keys[new], kind="stable")]
    last = np.searchsorted(keys[new], keys[new], "right")
    new = new[last - np.arange(len(new)) <= _MOST_NEW_ALIKE]
    first = np.searchsorted(keys[known], keys[new], "left")
    counts = np.minimum(np.searchsorted(keys[known], keys[new], "right") - first, most)
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(new, counts), known[np.repeat(first, counts) + steps]


def _on_one_shelf(
    catalogue: Catalogue, new: NDArray[np.int32], known: NDArray[np.int32], most: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pair each new book with the first `most` known ones of each of its categories."""
    bits = catalogue.category_bits
    shelf_count = 64 * bits.shape[1]
    first = np.empty((shelf_count, most), dtype=np.int32)
    counts = np.zeros(shelf_count, dtype=np.int64)
    _first_of_each(known, np.ascontiguousarray(bits), first, counts)
    ours, theirs = [new[:0]], [known[:0]]
    for shelf in catalogue.shelf_bits:
        if counts[shelf]:
            own = new[(bits[new, shelf // 64] >> np.uint64(shelf % 64) & np.uint64(1)).astype(np.bool_)]
            own = own[-_MOST_NEW_ALIKE:]
            ours.append(np.repeat(own, counts[shelf]))
            theirs.append(np.tile(first[shelf, : counts[shelf]], len(own)))
    return np.concatenate(ours), np.concatenate(theirs)


@njit(
    types.void(
        types.Array(types.int32, 1, "C", readonly=True),
        types.Array(types.uint64, 2, "C", readonly=True),
        types.int32[:, ::1],
        types.int64[::1],
    ),
    nogil=True,
    cache=True,
)
def _first_of_each(positions, bits, first, counts):
    for position in positions:
        for shelf in range(len(counts)):
            if counts[shelf] < first.shape[1] and bits[position, shelf >> 6] >> np.uint64(shelf & 63) & 1:
                first[shelf, counts[shelf]] = position
                counts[shelf] += 1


def _both_ways(
    position_count: int, ours: NDArray[np.int32], theirs: NDArray[np.int32], weights: NDArray[np.float32]
) -> ContentNeighbours:
    sources, targets = np.concatenate((ours, theirs)), np.concatenate((theirs, ours))
    weights = np.concatenate((weights, weights))
    order = np.argsort(sources, kind="stable")
    starts = np.zeros(position_count + 1, dtype=np.int64)
    np.cumsum(np.bincount(sources, minlength=position_count), out=starts[1:])
    return ContentNeighbours(starts, targets[order], weights[order])
