"""Factors of what comes next: targets solved against what readers had read before; knows no ranking.

Each reader's list is cut at several places. What lies before a cut is folded in as it will be in serving;
what lies behind is what that fold should find.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.training.co_reading import starts_of
from service.training.dense_algebra import fold_span
from service.training.factors import solve_rows
from service.training.lists import Lists
from service.training.threads import even_spans, over_spans

_SPANS = 64
# At 256 factors half a gigabyte; of more lists than this and the cuts allow, each cut takes a random choice.
MOST_FOLDS = 500_000


def solve_targets(
    lists: Lists,
    sources: NDArray[np.float32],
    *,
    cuts: tuple[float, ...],
    seed: int,
    fold_in_exponent: float,
    longest_history: int,
    unobserved: float,
    l2: float,
    thread_count: int,
    done: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float32]:
    """Return T [b, d] for E [b, d]: with x the fold of what lies before a cut, T_j minimises

    Σ c (1 - x·T_j)² over the lists that have j behind the cut + unobserved · Σ (x·T_j)² + l2 |T_j|²,

    where c is the preference for j.
    """
    lengths = lists.lengths()
    # A list of one book has nothing behind any cut.
    parted = np.flatnonzero(lengths > 1)
    within = np.arange(len(lists.books)) - lists.starts[lists.readers]
    random = np.random.default_rng(seed)
    starts, heads, rows, books, confidences = [], [], [], [], []
    row_count = 0
    for cut in cuts:
        chosen = np.sort(random.permutation(parted)[: MOST_FOLDS // len(cuts)])
        places = np.zeros(lists.reader_count, dtype=np.int64)  # 0: not chosen
        places[chosen] = np.clip(np.rint(lengths[chosen] * cut).astype(np.int64), 1, lengths[chosen] - 1)
        row_of = np.cumsum(places > 0) - 1 + row_count
        place = places[lists.readers]
        behind = np.flatnonzero((place > 0) & (within >= place))
        starts.append(lists.starts[chosen])
        heads.append(places[chosen])
        rows.append(row_of[lists.readers[behind]])
        books.append(lists.books[behind])
        confidences.append(lists.strengths[behind])
        row_count += len(chosen)
    folds = fold_in(
        np.concatenate(starts), np.concatenate(heads), lists, sources,
        fold_in_exponent=fold_in_exponent, longest_history=longest_history, thread_count=thread_count,
    )  # fmt: skip
    every_book = np.concatenate(books)
    order = np.argsort(every_book, kind="stable")
    targets, _ = solve_rows(
        starts_of(np.bincount(every_book, minlength=lists.book_count)),
        np.concatenate(rows)[order].astype(np.int32),
        np.concatenate(confidences)[order],
        folds,
        unobserved=unobserved,
        l2=l2,
        thread_count=thread_count,
        done=done,
    )
    return targets


def fold_in(
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    lists: Lists,
    sources: NDArray[np.float32],
    *,
    fold_in_exponent: float,
    longest_history: int,
    thread_count: int,
) -> NDArray[np.float32]:
    """Return the fold x of histories: so many books from each start, the last of them the latest."""
    found = np.zeros((len(starts), sources.shape[1]), dtype=np.float32)
    latest = np.minimum(counts, longest_history)
    penalties = (1.0 + np.arange(longest_history)) ** fold_in_exponent

    def work(start: int, stop: int) -> None:
        fold_span(
            start, stop, starts + counts - latest, latest, lists.books, lists.strengths, sources,
            penalties.astype(np.float32), found,
        )  # fmt: skip

    over_spans(work, even_spans(latest.astype(np.float64) ** 2 + 8, _SPANS), thread_count)
    return found
