"""Neighbours by what is known of a book: series, author, category, where none were learned; knows no reader.

A book that nobody has read has no neighbours to learn, nor has one whose readers read nothing else. Weak ones
stand in for them: books of its series and its author, and weaker yet the most popular of its categories. The
book that nobody has read is a neighbour of those as well, so that it is found.
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
# Enough to be found by, few enough that a shelf of thousands costs nothing: known books that one book gets as
# neighbours, and new books of one series, author or category that known ones get, those that were added last.
_MOST_SERIES, _MOST_AUTHOR, _MOST_CATEGORY = 30, 30, 10
_MOST_NEW_ALIKE = 30
# Of either kind the ones added last: a shop with more of them than this has them in its back rooms.
_MOST_NEW = 20_000
_LOOKED_THROUGH = 50_000  # of the known books, by popularity
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
    """Find neighbours of books for which a model has none; `order` has positions by popularity.

    `row_of` has the model's row of each position, -1 where it has none.
    """
    if model is None or not len(model.weights):
        return NO_CONTENT
    read = row_of >= 0
    is_alone = read.copy()
    is_alone[read] = np.diff(model.indptr)[row_of[read]] == 0
    read[read] = np.asarray(model.popularity)[row_of[read]] > 0
    there = (catalogue.category_bits[:, 0] >> np.uint64(ANY_BIT) & np.uint64(1)).astype(np.bool_)
    new = np.flatnonzero(there & ~read)[-_MOST_NEW:].astype(np.int32)
    alone = np.flatnonzero(there & read & is_alone)[-_MOST_NEW:].astype(np.int32)
    known = order[:_LOOKED_THROUGH]
    known = known[read[known] & there[known]]
    if not len(known) or not len(new) + len(alone):
        return NO_CONTENT
    traits = catalogue.traits
    strong = _strong_weight(model)
    sources, targets, weights = [], [], []
    for books, most_alike in ((new, _MOST_NEW_ALIKE), (alone, 0)):
        for ours, theirs, is_found, weight in (
            (*_sharing(traits.series, books, known, _MOST_SERIES, most_alike), _SERIES),
            (*_sharing(traits.authors, books, known, _MOST_AUTHOR, most_alike), _AUTHOR),
            (*_on_one_shelf(catalogue, books, known, _MOST_CATEGORY, most_alike), _CATEGORY),
        ):
            other = ours != theirs
            sources += [ours[other], theirs[is_found]]
            targets += [theirs[other], ours[is_found]]
            weights.append(np.full(other.sum() + is_found.sum(), weight * strong, dtype=np.float32))
    if not sum(map(len, sources)):
        return NO_CONTENT
    return _by_source(len(catalogue), *map(np.concatenate, (sources, targets, weights)))


def _strong_weight(model: ItemModel) -> float:
    """Return the weight of a typical book's closest neighbour."""
    rows = np.flatnonzero(np.diff(model.indptr))
    rows = rows[:: max(1, len(rows) // _SAMPLED_ROWS)]
    starts, ends = model.indptr[rows].tolist(), model.indptr[rows + 1].tolist()
    return float(np.median([model.weights[start:end].max() for start, end in zip(starts, ends, strict=True)]))


def _sharing(
    keys: NDArray[np.uint64],
    books: NDArray[np.int32],
    known: NDArray[np.int32],
    most: int,
    most_alike: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Pair each book with the first `most` known ones of its key; 0 is no key.

    And tell whether it is one of the last `most_alike` of its key.
    """
    known = known[keys[known] != 0]
    known = known[np.argsort(keys[known], kind="stable")]
    books = books[keys[books] != 0]
    books = books[np.argsort(keys[books], kind="stable")]
    is_last = np.searchsorted(keys[books], keys[books], "right") - np.arange(len(books)) <= most_alike
    first = np.searchsorted(keys[known], keys[books], "left")
    counts = np.minimum(np.searchsorted(keys[known], keys[books], "right") - first, most)
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return (
        np.repeat(books, counts),
        known[np.repeat(first, counts) + steps],
        np.repeat(is_last, counts),
    )


def _on_one_shelf(
    catalogue: Catalogue,
    books: NDArray[np.int32],
    known: NDArray[np.int32],
    most: int,
    most_alike: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Pair each book with the first `most` known ones of each of its categories; otherwise as `_sharing`."""
    bits = catalogue.category_bits
    shelf_count = 64 * bits.shape[1]
    first = np.empty((shelf_count, most), dtype=np.int32)
    counts = np.zeros(shelf_count, dtype=np.int64)
    _first_of_each(known, np.ascontiguousarray(bits), first, counts)
    ours, theirs, is_last = [books[:0]], [known[:0]], [np.empty(0, dtype=np.bool_)]
    for shelf in catalogue.shelf_bits:
        if counts[shelf]:
            own = books[(bits[books, shelf // 64] >> np.uint64(shelf % 64) & np.uint64(1)).astype(np.bool_)]
            ours.append(np.repeat(own, counts[shelf]))
            theirs.append(np.tile(first[shelf, : counts[shelf]], len(own)))
            is_last.append(np.repeat(np.arange(len(own)) >= len(own) - most_alike, counts[shelf]))
    return np.concatenate(ours), np.concatenate(theirs), np.concatenate(is_last)


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


def _by_source(
    position_count: int,
    sources: NDArray[np.int32],
    targets: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> ContentNeighbours:
    """Put pairs together; of one that is there twice, as by author and by category, the weights are added."""
    keys = sources.astype(np.int64) * position_count + targets
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    sources, targets = np.divmod(keys[first], position_count)
    starts = np.zeros(position_count + 1, dtype=np.int64)
    np.cumsum(np.bincount(sources, minlength=position_count), out=starts[1:])
    return ContentNeighbours(starts, targets.astype(np.int32), np.add.reduceat(weights[order], first))
