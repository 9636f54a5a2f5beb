"""What of the interactions is held out, and training with figures from it; knows nothing of ranking."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.interactions import InteractionLog
from service.domain.model import ItemModel
from service.training.baselines import baselines
from service.training.errors import TrainingError
from service.training.evaluation import evaluate_ranker, popularity_alone, served, trial_of
from service.training.figures import Evaluation
from service.training.learning import Progress, train
from service.training.settings import TrainingSettings

HELD_OUT_FRACTION = 0.2
# Enough for a standard error of .003 of Recall@20 on Amazon-Book; bounds the wait at any number of readers.
LARGEST_READER_COUNT = 10_000


def split(
    log: InteractionLog, fraction: float = HELD_OUT_FRACTION, seed: int = 0, *, latest: bool = False
) -> tuple[InteractionLog, InteractionLog]:
    """Hold out a `fraction` of each reader's books, rounded down: (what is left, what is held out).

    Random ones, or with `latest` those whose last interaction is the latest. All interactions of a reader
    with one book go together. The random choice depends on the seed and on who did something with what, not
    on the order of the log. Raises TrainingError for a fraction outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise TrainingError(f"fraction: {fraction} is not between 0 and 1")
    books = np.unique(log.book_ids, return_inverse=True)[1]
    readers = np.unique(log.reader_ids, return_inverse=True)[1]
    book_count = 1 + books.max(initial=0)
    pairs, pair_of = np.unique(readers * book_count + books, return_inverse=True)
    readers = pairs // book_count
    if latest:
        last = np.zeros(len(pairs), dtype=np.int64)
        by_time = np.argsort(log.occurred_at, kind="stable")
        np.maximum.at(last, pair_of[by_time], np.arange(len(by_time)))
        first_out = np.lexsort((-last, readers))
    else:
        first_out = np.lexsort((np.random.default_rng(seed).random(len(pairs)), readers))
    counts = np.bincount(readers)
    ranks = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
    held_counts = np.floor(counts * fraction + 1e-9).astype(np.int64)  # .2 of 15 is 3, rounding errors aside
    held = np.zeros(len(pairs), dtype=bool)
    held[first_out] = ranks < np.repeat(held_counts, counts)
    return log.take(~held[pair_of]), log.take(held[pair_of])


def compare(
    log: InteractionLog,
    book_ids: NDArray[np.int64],
    *,
    settings: TrainingSettings | None = None,
    fraction: float = HELD_OUT_FRACTION,
    seed: int = 0,
    books: Sequence[Book] | None = None,
    others: bool = False,
    largest_reader_count: int | None = LARGEST_READER_COUNT,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Train on a part of the log and judge by the rest: popularity first, then the model.

    What is held out is the latest part of each list, or a random one where the settings take no notice of
    order. With `others` the baselines stand between the two, and behind them the model by itself, which as
    little as they holds editions and volumes back. Raises TrainingError when a part is too small to learn
    from or to judge by.
    """
    settings = settings or TrainingSettings()
    report = progress or (lambda stage, done: None)
    left, held_out = split(log, fraction, seed, latest=settings.ordered)
    trial = trial_of(
        book_ids,
        left,
        held_out,
        books=books,
        weights=settings.weights,
        largest_reader_count=largest_reader_count,
        seed=seed,
    )
    model = train(
        left,
        book_ids,
        settings=settings,
        progress=lambda stage, done: report(f"{stage} (without what is held out)", done),
    )
    rankers = {"popularity": lambda: served(popularity_alone(model))}
    if others:
        rankers |= baselines(trial, settings)
        rankers[f"{model.method}, any volume and edition"] = lambda: served(model, whole=True)
    rankers[model.method] = lambda: served(model)
    found = []
    for name, learned in rankers.items():
        stage = partial(report, f"evaluating {name}")
        stage(0.0)
        found.append(evaluate_ranker(name, learned(), trial, seed=seed, progress=stage))
    return found


def train_with_holdout(
    log: InteractionLog,
    book_ids: NDArray[np.int64],
    *,
    settings: TrainingSettings | None = None,
    fraction: float = HELD_OUT_FRACTION,
    seed: int = 0,
    books: Sequence[Book] | None = None,
    progress: Progress | None = None,
) -> ItemModel:
    """Train on all interactions, and put into the metrics how well the same settings did on a holdout.

    The metrics are empty where too little was done for anything to be held out. Raises TrainingError as
    `train` does.
    """
    try:
        baseline, learned = compare(
            log, book_ids, settings=settings, fraction=fraction, seed=seed, books=books, progress=progress
        )
    except TrainingError:
        # The whole may do where four fifths do not; if not, training below says what is wrong with it.
        metrics = {}
    else:
        metrics = _metrics(baseline, learned)
    return replace(train(log, book_ids, settings=settings, progress=progress), metrics=metrics)


def _metrics(baseline: Evaluation, learned: Evaluation) -> dict[str, float]:
    metrics = {"evaluated_readers": float(learned.reader_count)}
    for prefix, judged in (("", learned), ("popularity_", baseline)):
        metrics |= {
            f"{prefix}recall@20": judged.recall,
            f"{prefix}recall@20_standard_error": judged.recall_standard_error,
            f"{prefix}ndcg@20": judged.ndcg,
            f"{prefix}ndcg@20_standard_error": judged.ndcg_standard_error,
            f"{prefix}hit_rate@20": judged.hit_rate,
            f"{prefix}coverage@20": judged.coverage,
        }
    return metrics
