"""Item-based collaborative filtering: which books are read by the same readers; knows nothing of evaluation.

Sarwar et al., "Item-based collaborative filtering recommendation algorithms" (WWW 2001), with the degree
normalisation of random walks (Paudel et al., "Updatable, accurate, diverse, and scalable recommendations for
interactive applications", TiiS 2017) and readers weighted by the length of their histories.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from service.domain.interactions import InteractionLog
from service.domain.model import ItemModel
from service.training.cells import Cells, fold
from service.training.errors import TrainingError
from service.training.settings import TrainingSettings

METHOD = "item-neighbours"
# Co-occurrences of one block of books before the best are chosen: bounds them to about 100 MB.
BLOCK_PRODUCTS = 4_000_000

Progress = Callable[[str, float], None]  # the stage, and how much of it is done, 0 to 1


def train(
    log: InteractionLog,
    book_ids: NDArray[np.int64],
    *,
    settings: TrainingSettings | None = None,
    progress: Progress | None = None,
) -> ItemModel:
    """Learn which books speak for which, from interactions with the books of a catalogue.

    `book_ids` [b] strictly ascending. W[i, j] = C_ij / (d_i^a · d_j^b + shrink), where C is the co-occurrence
    of preferences over readers, each reader weighted (n / mean n)^-history_exponent, and d its diagonal. Of
    each row the best are kept, by descending weight, then ascending position; the same data and settings
    give the same arrays. The version is left empty: saving names it. Raises
    TrainingError when there is nothing to learn from.
    """
    settings = settings or TrainingSettings()
    report = progress or _silent
    report("reading interactions", 0.0)
    if not len(book_ids):
        raise TrainingError("catalogue: holds no books; import some first")
    if np.any(book_ids[1:] <= book_ids[:-1]):
        raise TrainingError("book_ids: are not strictly ascending")
    if not len(log):
        raise TrainingError("interactions: there are none to learn from; import some first")
    everything = fold(log, book_ids)
    if not len(everything):
        raise TrainingError(f"interactions: none of {len(log)} is with a book of the catalogue")
    liked = everything.take(everything.preferences > 0)
    if not len(liked):
        raise TrainingError(f"interactions: none of {len(log)} speaks for its book (all are ratings of 1)")
    report("reading interactions", 1.0)
    indptr, indices, weights = _neighbours(
        liked.latest(settings.longest_history), len(book_ids), settings, report
    )
    return ItemModel(
        version="",
        method=METHOD,
        trained_at=time.time_ns() // 1_000,
        book_ids=np.array(book_ids, dtype=np.int64),
        indptr=indptr,
        indices=indices,
        weights=weights,
        popularity=np.bincount(liked.books, weights=liked.preferences, minlength=len(book_ids)).astype(
            np.float32
        ),
        reader_count=len(everything.reader_ids),
        interaction_count=int(np.isin(log.book_ids, book_ids).sum()),
    )


def _silent(stage: str, done: float) -> None:
    """Report to nobody."""


def _neighbours(
    cells: Cells, book_count: int, settings: TrainingSettings, report: Progress
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    shape = (len(cells.reader_ids), book_count)
    lengths = cells.counts()
    reader_weights = (np.maximum(lengths, 1) / lengths[lengths > 0].mean()) ** -settings.history_exponent
    # Relative to the mean, so that the shrinkage means the same in a shop of views as in one of purchases.
    preferences = cells.preferences / cells.preferences.mean(dtype=np.float64)
    weighted = preferences * reader_weights[cells.readers]
    degrees = np.bincount(cells.books, weights=preferences * weighted, minlength=book_count)
    by_reader = sparse.csr_array((preferences.astype(np.float32), (cells.readers, cells.books)), shape=shape)
    by_book = sparse.csr_array((weighted.astype(np.float32), (cells.books, cells.readers)), shape=shape[::-1])
    source_terms = degrees**settings.source_exponent
    target_terms = degrees**settings.target_exponent
    products = np.bincount(cells.books, weights=lengths[cells.readers], minlength=book_count).astype(np.int64)

    counts, indices, weights = [np.zeros(1, dtype=np.int64)], [], []
    for start, stop in _blocks(products):
        report("finding neighbours", start / book_count)
        together = by_book[start:stop] @ by_reader
        together.sort_indices()
        sources = np.repeat(np.arange(stop - start), np.diff(together.indptr))
        others = together.indices != sources + start
        sources, targets = sources[others], together.indices[others]
        denominators = source_terms[start:stop][sources] * target_terms[targets] + settings.shrink
        scores = (together.data[others] / denominators).astype(np.float32)
        best = _strongest(sources, scores, stop - start, settings.neighbour_count)
        counts.append(np.bincount(sources[best], minlength=stop - start))
        indices.append(targets[best].astype(np.int32))
        weights.append(scores[best])
    report("finding neighbours", 1.0)
    return np.cumsum(np.concatenate(counts)), np.concatenate(indices), np.concatenate(weights)


def _blocks(products: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut books into spans of BLOCK_PRODUCTS at most; a single book may have more, in b cells at most."""
    done = np.cumsum(products)
    start = 0
    while start < len(products):
        before = int(done[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(done, before + BLOCK_PRODUCTS, side="right")))
        yield start, stop
        start = stop


def _strongest(
    rows: NDArray[np.int64], scores: NDArray[np.float32], row_count: int, kept: int
) -> NDArray[np.int64]:
    """Return the places of each row's highest scores, row by row, highest first, ties in the given order.

    `rows` ascend, scores are 0 or more: their bits then sort as they do, so one key holds row and score.
    """
    falling = np.uint64(0xFFFFFFFF) - scores.view(np.uint32)
    order = np.argsort((rows.astype(np.uint64) << np.uint64(32)) | falling, kind="stable")
    counts = np.bincount(rows, minlength=row_count)
    ranks = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[ranks < kept]
