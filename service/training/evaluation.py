"""How well a model finds what readers did next; knows nothing of how models are learned.

All-ranking protocol: every book that is not in the reader's training history is ranked, by the class that
serves, and the first 20 are compared with what was held out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.answers import Query
from service.domain.books import Book
from service.domain.interactions import DEFAULT_WEIGHTS, IS_READ_TYPE, InteractionLog, InteractionWeights
from service.domain.model import NO_FACTORS, NO_SCALES, NO_TARGETS, ItemModel
from service.domain.recommender import Recommender
from service.training.cells import Cells, fold, positions_of
from service.training.errors import TrainingError
from service.training.figures import PLACES, Evaluation, judge

_READERS_BETWEEN_REPORTS = 500

Report = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """What was known, what readers did next, and whose rankings are compared with it."""

    book_ids: NDArray[np.int64]
    books: Sequence[Book]  # theirs, for what serving makes of series, editions and authors
    known: InteractionLog
    weights: InteractionWeights  # of interactions, by which cells are folded and histories served
    known_cells: Cells
    wanted: Cells
    readers: NDArray[np.int64]  # positions in wanted.reader_ids
    unknown_reader_count: int  # of all readers with something wanted, those without any history

    @property
    def reader_ids(self) -> NDArray[np.int64]:
        """Return the ids of the readers that are judged."""
        return self.wanted.reader_ids[self.readers]


class Ranker(Protocol):
    """Ranks books for the readers of a trial: [readers, PLACES] positions, -1 where books run out."""

    def __call__(self, trial: Trial, progress: Report | None = None) -> NDArray[np.int32]: ...


def popularity_alone(model: ItemModel) -> ItemModel:
    """Return a model that ranks by popularity, the same for every reader: the baseline."""
    return replace(
        model,
        method="popularity",
        indptr=np.zeros(len(model.book_ids) + 1, dtype=np.int64),
        indices=np.empty(0, dtype=np.int32),
        weights=np.empty(0, dtype=np.float32),
        source_factors=NO_FACTORS,
        target_factors=NO_TARGETS,
        target_scales=NO_SCALES,
    )


def trial_of(
    book_ids: NDArray[np.int64],
    train_log: InteractionLog,
    held_out: InteractionLog,
    *,
    books: Sequence[Book] | None = None,
    weights: InteractionWeights = DEFAULT_WEIGHTS,
    largest_reader_count: int | None = None,
    seed: int = 0,
) -> Trial:
    """Prepare to judge by what was held out; without `books` nothing is known of them but their ids.

    Held-out books that the catalogue lacks, that the reader already had, or that they did not like (by the
    mean of all their ratings, held out or not), are not looked for. With `largest_reader_count` a random
    choice of readers is judged. Raises TrainingError when nothing is left to look for.
    """
    known = fold(train_log, book_ids, weights)
    # Whether a book was liked does not depend on how long ago; a file may say no times at all.
    ageless = replace(weights, half_life_days=None)
    wanted = _wanted(fold(train_log.followed_by(held_out), book_ids, ageless), known)
    readers = np.flatnonzero(wanted.counts())
    if not len(readers):
        raise TrainingError("held-out interactions: none is with a book that is new to its reader")
    unknown = int((~np.isin(wanted.reader_ids[readers], known.reader_ids)).sum())
    if largest_reader_count is not None and len(readers) > largest_reader_count:
        chosen = np.random.default_rng(seed).choice(len(readers), largest_reader_count, replace=False)
        readers = readers[np.sort(chosen)]
    named = [_book(book_id) for book_id in book_ids.tolist()] if books is None else books
    return Trial(book_ids, named, train_log, weights, known, wanted, readers, unknown)


def evaluate_ranker(
    method: str, ranker: Ranker, trial: Trial, *, seed: int = 0, progress: Report | None = None
) -> Evaluation:
    """Judge what ranks books in any way."""
    cells = trial.known_cells.take(trial.known_cells.preferences > 0)
    lengths = np.zeros(len(trial.readers), dtype=np.int64)
    places = positions_of(cells.reader_ids, trial.reader_ids)
    lengths[places >= 0] = cells.counts()[places[places >= 0]]
    readers_of_book = np.bincount(cells.books, minlength=len(trial.book_ids))
    found = ranker(trial, progress)
    return judge(
        method,
        found,
        trial.wanted,
        trial.readers,
        lengths,
        readers_of_book,
        len(trial.known_cells.reader_ids),
        seed,
    )


def evaluate(
    model: ItemModel,
    train_log: InteractionLog,
    held_out: InteractionLog,
    *,
    weights: InteractionWeights = DEFAULT_WEIGHTS,
    largest_reader_count: int | None = None,
    seed: int = 0,
    progress: Report | None = None,
) -> Evaluation:
    """Judge a model by the books held out, as `trial_of` says."""
    trial = trial_of(
        model.book_ids,
        train_log,
        held_out,
        weights=weights,
        largest_reader_count=largest_reader_count,
        seed=seed,
    )
    return evaluate_ranker(model.method, served(model), trial, seed=seed, progress=progress)


def served(model: ItemModel, *, whole: bool = False) -> Ranker:
    """Return the ranking that readers get from this model, or with `whole` from those who ask for all of it.

    Who asks for any edition and any volume gets what the model alone says, as the baselines are ranked.
    """

    def ranker(trial: Trial, progress: Report | None = None) -> NDArray[np.int32]:
        return recommend(
            model,
            trial.known,
            trial.reader_ids,
            books=trial.books,
            weights=trial.weights,
            whole=whole,
            progress=progress,
        )

    return ranker


def recommend(
    model: ItemModel,
    log: InteractionLog,
    reader_ids: NDArray[np.int64],
    *,
    books: Sequence[Book] | None = None,
    weights: InteractionWeights = DEFAULT_WEIGHTS,
    places: int = PLACES,
    whole: bool = False,
    progress: Report | None = None,
) -> NDArray[np.int32]:
    """Rank for each reader what is not in their history: [readers, places] positions, -1 where books run out.

    By the very class that serves, but that what was only looked at or wished for is left out too. With
    `whole` a list may hold any edition and any volume.
    """
    named = [_book(book_id) for book_id in model.book_ids.tolist()] if books is None else books
    live = Recommender.of(named, log, model, weights=weights)
    # What was read is hidden by serving itself.
    cells = fold(log, model.book_ids, weights)
    others = np.isin(cells.reader_ids, log.reader_ids[~IS_READ_TYPE[log.types]])
    starts = np.append(0, np.cumsum(cells.counts()))
    seen = {
        reader_id: model.book_ids[cells.books[starts[place] : starts[place + 1]]].tolist()
        for place, reader_id in enumerate(cells.reader_ids.tolist())
        if others[place]
    }
    found = np.full((len(reader_ids), places), -1, dtype=np.int32)
    for row, reader_id in enumerate(reader_ids.tolist()):
        if progress and row % _READERS_BETWEEN_REPORTS == 0:
            progress(row / len(reader_ids))
        query = Query(
            reader_id,
            exclude_book_ids=seen.get(reader_id, ()),
            places=places,
            any_edition=whole,
            any_volume=whole,
        )
        best = np.array(live.ranked(query), dtype=np.int64)
        found[row, : len(best)] = positions_of(model.book_ids, best)
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
