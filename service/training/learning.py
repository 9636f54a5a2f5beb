"""From interactions to a model: neighbours, then the factors that rank them anew; knows no evaluation."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.domain.interactions import InteractionLog, InteractionWeights
from service.domain.model import NO_FACTORS, ItemModel
from service.training.cells import Cells, fold
from service.training.co_reading import count_together, reader_weights
from service.training.directed_factors import solve_targets
from service.training.errors import TrainingError
from service.training.factors import learn_factors
from service.training.lists import Lists, lists_of
from service.training.settings import TrainingSettings
from service.training.sparse_linear import by_source, learn_weights
from service.training.threads import default_thread_count
from service.training.walks import Neighbours, extend
from service.training.whole_numbers import in_whole_numbers

METHOD = "sparse linear, re-ranked by factors"

# A small catalogue has fewer tastes to tell apart: all factors from 2,048 books on.
_BOOKS_A_FACTOR, _FEWEST_FACTORS = 8, 8

Progress = Callable[[str, float], None]  # the stage, and how much of it is done, 0 to 1


def train(
    log: InteractionLog,
    book_ids: NDArray[np.int64],
    *,
    settings: TrainingSettings | None = None,
    thread_count: int | None = None,
    progress: Progress | None = None,
) -> ItemModel:
    """Learn from interactions with the books of a catalogue what readers of some books read next.

    `book_ids` [b] strictly ascending. The same data and settings give the same arrays, on any number of
    threads. The version is left empty: saving names it. Raises TrainingError when there is nothing to learn
    from.
    """
    settings = settings or TrainingSettings()
    report = progress or _silent
    report("reading interactions", 0.0)
    everything, liked = _cells(log, book_ids, settings.weights)
    lists = lists_of(liked.latest(settings.longest_history), len(book_ids))
    report("reading interactions", 1.0)
    threads = thread_count or default_thread_count()
    neighbours, penalty = _neighbours(lists, settings, threads, report)
    sources, targets = _factors(lists, settings, threads, report)
    whole, scales = in_whole_numbers(targets)
    return ItemModel(
        version="",
        method=METHOD,
        trained_at=time.time_ns() // 1_000,
        book_ids=np.array(book_ids, dtype=np.int64),
        indptr=neighbours.indptr,
        indices=neighbours.indices,
        weights=neighbours.weights,
        popularity=np.bincount(liked.books, weights=liked.preferences, minlength=len(book_ids)).astype(
            np.float32
        ),
        reader_count=len(everything.reader_ids),
        interaction_count=int(np.isin(log.book_ids, book_ids).sum()),
        source_factors=sources,
        target_factors=whole,
        target_scales=scales * penalty if whole.size else scales,
        ranking=settings.ranking(),
    )


def _cells(
    log: InteractionLog, book_ids: NDArray[np.int64], weights: InteractionWeights
) -> tuple[Cells, Cells]:
    if not len(book_ids):
        raise TrainingError("catalogue: holds no books; import some first")
    if np.any(book_ids[1:] <= book_ids[:-1]):
        raise TrainingError("book_ids: are not strictly ascending")
    if not len(log):
        raise TrainingError("interactions: there are none to learn from; import some first")
    if not np.isin(log.book_ids, book_ids).any():
        raise TrainingError(f"interactions: none of {len(log)} is with a book of the catalogue")
    everything = fold(log, book_ids, weights)
    liked = everything.take(everything.preferences > 0)
    if not len(liked):
        raise TrainingError(
            f"interactions: none of {len(log)} speaks for its book"
            " (all are ratings of 1, taken back or weigh nothing)"
        )
    return everything, liked


def _silent(stage: str, done: float) -> None:
    """Report to nobody."""


def _neighbours(
    lists: Lists, settings: TrainingSettings, threads: int, report: Progress
) -> tuple[Neighbours, NDArray[np.float32]]:
    together = count_together(
        lists,
        reader_weights(lists, settings.history_exponent),
        backward=settings.backward,
        source_exponent=settings.source_exponent,
        target_exponent=settings.target_exponent,
        shrink=settings.shrink,
        candidate_count=settings.candidate_count,
        thread_count=threads,
        done=lambda share: report("counting what is read together", share),
    )
    learned = learn_weights(
        together,
        l2=settings.l2,
        l1=settings.l1,
        sweeps=settings.sweeps,
        thread_count=threads,
        done=lambda share: report("learning neighbours", share),
    )
    # Books that next to nobody read are not lifted without end.
    penalty = np.maximum(together.diagonal, 0.01) ** -settings.popularity_exponent
    penalty *= np.exp(settings.lateness_weight * lists.lateness())
    factors = penalty.astype(np.float32)
    extended = extend(
        Neighbours(*by_source(together, learned, factors)),
        lists,
        factors,
        walk_weight=settings.walk_weight,
        next_weight=settings.next_weight,
        next_window=settings.next_window,
        next_decay=settings.next_decay,
        neighbour_count=settings.neighbour_count,
        thread_count=threads,
        done=lambda share: report("walking on from neighbours", share),
    )
    return extended, factors


def _factors(
    lists: Lists, settings: TrainingSettings, threads: int, report: Progress
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if not settings.factor_count:
        return NO_FACTORS, NO_FACTORS
    sources = learn_factors(
        lists,
        factor_count=min(settings.factor_count, max(_FEWEST_FACTORS, lists.book_count // _BOOKS_A_FACTOR)),
        iterations=settings.iterations,
        unobserved=settings.unobserved,
        l2=settings.factor_l2,
        seed=settings.seed,
        thread_count=threads,
        done=lambda share: report("learning factors", share),
    )
    if not settings.cuts:
        return sources, sources
    targets = solve_targets(
        lists,
        sources,
        cuts=settings.cuts,
        seed=settings.seed,
        fold_in_exponent=settings.fold_in_exponent,
        longest_history=settings.served_history,
        unobserved=settings.target_unobserved,
        l2=settings.target_l2,
        thread_count=threads,
        done=lambda share: report("learning what comes next", share),
    )
    return sources, targets
