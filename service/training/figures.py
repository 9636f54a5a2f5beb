"""Figures of rankings beside what readers did next, with intervals; knows no model and no source of data."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from service.training.cells import Cells

PLACES = 20  # as in the published tables
COLD_BOOKS = 5  # a reader with no more liked books than this is cold
TAIL_SHARE = 0.8  # of the catalogue, the least read: its tail
_JSON_NAMES = {name: f"{name}@{PLACES}" for name in ("recall", "ndcg", "hit_rate", "coverage")}
RESAMPLES = 1_000  # enough for two digits of an interval's width
_RESAMPLES_AT_ONCE = 50  # bounds the drawn indices to 28 MB at 70,000 readers


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Means over readers with something held out; fields not said otherwise are shares, 0 to 1.

    Intervals hold 95 % of the means of readers drawn anew (bootstrap).
    """

    method: str
    recall: float  # found / held out
    ndcg: float  # binary; the ideal has min(20, held out) finds in front
    hit_rate: float  # readers with one find at least
    coverage: float  # books of the catalogue in the first 20 of any reader
    novelty: float  # mean of -log2 of the share of readers who read a shown book, in bits
    cold_recall: float  # of readers with few books; nan where there are none
    tail_recall: float  # of the held-out books that few read; nan where there are none
    recall_interval: tuple[float, float]
    ndcg_interval: tuple[float, float]
    recall_standard_error: float
    ndcg_standard_error: float
    reader_count: int
    cold_reader_count: int

    def as_json(self) -> dict[str, object]:
        """Return the figures as JSON can hold them: null for those that could not be taken."""
        return {
            _JSON_NAMES.get(name, name): None if isinstance(value, float) and np.isnan(value) else value
            for name, value in asdict(self).items()
        }


def judge(
    method: str,
    found: NDArray[np.int32],
    wanted: Cells,
    readers: NDArray[np.int64],
    history_lengths: NDArray[np.int64],
    readers_of_book: NDArray,
    all_readers: int,
    seed: int = 0,
) -> Evaluation:
    """Compare rankings with what is wanted.

    `found` [n, places] holds positions of books, -1 where they ran out; row i is of wanted's reader
    readers[i], who had history_lengths[i] liked books. `readers_of_book` [b] counts each book's readers
    among all of them.
    """
    book_count, places = len(readers_of_book), found.shape[1]
    keys = np.where(found >= 0, readers[:, None] * book_count + found, -1)
    hits = np.isin(keys, wanted.readers * book_count + wanted.books)
    counts = wanted.counts()[readers]
    discounts = 1 / np.log2(np.arange(2, places + 2))
    recalls = hits.sum(axis=1) / counts
    gains = hits @ discounts / np.cumsum(discounts)[np.minimum(counts, places) - 1]

    shown = found[found >= 0]
    shares = np.maximum(readers_of_book, 0.5) / max(all_readers, 1)  # half a reader where there was none
    is_tail = np.zeros(book_count, dtype=bool)
    is_tail[np.lexsort((np.arange(book_count), readers_of_book))[: int(TAIL_SHARE * book_count)]] = True
    tail_wanted = np.bincount(wanted.readers, weights=is_tail[wanted.books], minlength=len(counts))[readers]
    tail_hits = (hits & is_tail[np.maximum(found, 0)]).sum(axis=1)
    has_tail, is_cold = tail_wanted > 0, history_lengths <= COLD_BOOKS
    return Evaluation(
        method=method,
        recall=float(recalls.mean()),
        ndcg=float(gains.mean()),
        hit_rate=float(hits.any(axis=1).mean()),
        coverage=len(np.unique(shown)) / book_count,
        novelty=float(-np.log2(shares[shown]).mean()) if len(shown) else 0.0,
        cold_recall=_mean(recalls[is_cold]),
        tail_recall=_mean(tail_hits[has_tail] / tail_wanted[has_tail]),
        recall_interval=interval(recalls, seed),
        ndcg_interval=interval(gains, seed),
        recall_standard_error=float(recalls.std() / np.sqrt(len(readers))),
        ndcg_standard_error=float(gains.std() / np.sqrt(len(readers))),
        reader_count=len(readers),
        cold_reader_count=int(is_cold.sum()),
    )


def interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Return what 95 % of the means lie between when values are drawn anew, with replacement."""
    random = np.random.default_rng(seed)
    means = [
        values[random.integers(0, len(values), (_RESAMPLES_AT_ONCE, len(values)), dtype=np.int32)].mean(
            axis=1
        )
        for _ in range(RESAMPLES // _RESAMPLES_AT_ONCE)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def _mean(values: NDArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
