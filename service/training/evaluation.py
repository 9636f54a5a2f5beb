"""How well a model finds what readers did next; knows nothing of how models are learned.

All-ranking protocol: every book that is not in the reader's training history is ranked, by the kernel that
serves, and the first 20 are compared with what was held out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.domain.answers import Query
from service.domain.books import Book
from service.domain.interactions import IS_READ_TYPE, InteractionLog
from service.domain.model import ItemModel
from service.domain.recommender import Recommender
from service.training.cells import Cells, fold, positions_of
from service.training.errors import TrainingError

PLACES = 20  # as in the published tables
COLUMNS = ("method", "recall@20", "ndcg@20", "hit rate", "coverage")
_READERS_BETWEEN_REPORTS = 500


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Means over readers with something held out; fields not said otherwise are shares, 0 to 1."""

    method: str
    recall: float  # found / held out
    ndcg: float  # binary; the ideal has min(20, held out) finds in front
    hit_rate: float  # readers with one find at least
    coverage: float  # books of the catalogue in the first 20 of any reader
    recall_standard_error: float
    ndcg_standard_error: float
    reader_count: int

    def row(self) -> tuple[str, float, float, float, float]:
        """Return the figures in the order of COLUMNS."""
        return self.method, self.recall, self.ndcg, self.hit_rate, self.coverage


def popularity_alone(model: ItemModel) -> ItemModel:
    """Return a model that ranks by popularity, the same for every reader: the baseline."""
    return replace(
        model,
        method="popularity",
        indptr=np.zeros(len(model.book_ids) + 1, dtype=np.int64),
        indices=np.empty(0, dtype=np.int32),
        weights=np.empty(0, dtype=np.float32),
    )


def evaluate(
    model: ItemModel,
    train_log: InteractionLog,
    held_out: InteractionLog,
    *,
    largest_reader_count: int | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Evaluation:
    """Judge a model learned from `train_log` by the books held out.

    Held-out books that the catalogue lacks, that the reader already had, or that they did not like (by the
    mean of all their ratings, held out or not), are not looked for. With `largest_reader_count` a random
    choice of readers is judged. Raises TrainingError when nothing is left to look for.
    """
    everything = fold(train_log.followed_by(held_out), model.book_ids)
    wanted = _wanted(everything, fold(train_log, model.book_ids))
    readers = np.flatnonzero(wanted.counts())
    if not len(readers):
        raise TrainingError("held-out interactions: none is with a book that is new to its reader")
    if largest_reader_count is not None and len(readers) > largest_reader_count:
        chosen = np.random.default_rng(seed).choice(len(readers), largest_reader_count, replace=False)
        readers = readers[np.sort(chosen)]
    found = recommend(model, train_log, wanted.reader_ids[readers], progress=progress)
    return _judge(model, wanted, readers, found)


def recommend(
    model: ItemModel,
    log: InteractionLog,
    reader_ids: NDArray[np.int64],
    *,
    places: int = PLACES,
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.int32]:
    """Rank for each reader what is not in their history: [readers, places] positions, -1 where books run out.

    By the very class that serves, but that what was only looked at or wished for is left out too.
    """
    live = Recommender.of((_book(book_id) for book_id in model.book_ids.tolist()), log, model)
    seen: dict[int, list[int]] = {}
    for reader_id, book_id in zip(
        *(column[~IS_READ_TYPE[log.types]].tolist() for column in (log.reader_ids, log.book_ids)), strict=True
    ):
        seen.setdefault(reader_id, []).append(book_id)
    found = np.full((len(reader_ids), places), -1, dtype=np.int32)
    for row, reader_id in enumerate(reader_ids.tolist()):
        if progress and row % _READERS_BETWEEN_REPORTS == 0:
            progress(row / len(reader_ids))
        query = Query(reader_id, exclude_book_ids=seen.get(reader_id, ()), places=places)
        books = np.array(live.ranked(query), dtype=np.int64)
        found[row, : len(books)] = positions_of(model.book_ids, books)
    return found


def _book(book_id: int) -> Book:
    return Book(book_id, str(book_id))  # of no author, series or category that could speak for it


def _wanted(everything: Cells, known: Cells) -> Cells:
    """Return the cells that came with what was held out and speak for their books."""
    place = np.searchsorted(known.reader_ids, everything.reader_ids)
    has_history = np.isin(everything.reader_ids, known.reader_ids)
    readers = np.where(has_history, place, -1)[everything.readers]
    book_count = 1 + max(everything.books.max(initial=0), known.books.max(initial=0))
    keys = readers * book_count + everything.books
    new = ~np.isin(keys, known.readers * book_count + known.books)
    return everything.take(new & (everything.preferences > 0))


def _judge(
    model: ItemModel, wanted: Cells, readers: NDArray[np.int64], found: NDArray[np.int32]
) -> Evaluation:
    book_count, places = len(model.book_ids), found.shape[1]
    keys = np.where(found >= 0, readers[:, None] * book_count + found, -1)
    hits = np.isin(keys, wanted.readers * book_count + wanted.books)
    wanted_counts = wanted.counts()[readers]
    discounts = 1 / np.log2(np.arange(2, places + 2))
    ideal = np.cumsum(discounts)[np.minimum(wanted_counts, places) - 1]
    recalls = hits.sum(axis=1) / wanted_counts
    gains = hits @ discounts / ideal
    shown = np.unique(found[found >= 0])
    return Evaluation(
        method=model.method,
        recall=float(recalls.mean()),
        ndcg=float(gains.mean()),
        hit_rate=float(hits.any(axis=1).mean()),
        coverage=len(shown) / book_count,
        recall_standard_error=float(recalls.std() / np.sqrt(len(readers))),
        ndcg_standard_error=float(gains.std() / np.sqrt(len(readers))),
        reader_count=len(readers),
    )
