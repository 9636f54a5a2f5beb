"""Whether a new model may reach readers: held against popularity and the model in use; knows no files."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.domain.answers import Query
from service.domain.books import Book
from service.domain.interactions import DEFAULT_WEIGHTS, InteractionLog, InteractionWeights
from service.domain.model import ItemModel
from service.domain.recommender import Recommender
from service.training.provenance import weights_of

# Less than this of the model in use, and the data that were trained on are likely to be a part of the shop's.
_LEAST_SHARE = 0.5
_SAMPLE, _PLACES = 100, 20
_INTERVAL = 1.96  # standard errors on either side: 95 %


def refusal(candidate: Mapping[str, Any], current: Mapping[str, Any] | None) -> str | None:
    """Say why the model of this manifest may not replace the one of the other, or None.

    Both are judged by their own holdouts: the model in use has learned from what is held out today. Where
    too little was done for a holdout nothing can be said against a model but its size.
    """
    if not candidate["neighbour_count"]:
        return "no book has neighbours: nobody read two of them"
    metrics = candidate["metrics"]
    if "recall@20" in metrics:
        if worse := _worse(metrics, "", metrics, "popularity_"):
            return f"{worse} by popularity alone"
        if not metrics["coverage@20"] > 0:
            return "coverage@20 is 0: no reader was shown anything"
    if current is None:
        return None
    for name in ("book_count", "interaction_count"):
        if candidate[name] < _LEAST_SHARE * current[name]:
            return (
                f"{name} is {candidate[name]}, less than half of the {current[name]} of the model in use"
                f" ({current['version']}); were all data there?"
            )
    before = current["metrics"]
    if "recall@20" in before and "recall@20" not in metrics:
        return f"too little was done for figures, which the model in use ({current['version']}) has"
    # Figures of another kind of holdout cannot be compared.
    if "recall@20" not in metrics or "recall@20_standard_error" not in before:
        return None
    if candidate["ranking"]["ordered"] != current["ranking"]["ordered"]:
        return None
    if weights_of(candidate) != weights_of(current):
        return None
    if worse := _worse(metrics, "", before, ""):
        return f"{worse} by the model in use ({current['version']})"
    if metrics["coverage@20"] < _LEAST_SHARE * before["coverage@20"]:
        return (
            f"coverage@20 is {metrics['coverage@20']:.3f}, less than half of the"
            f" {before['coverage@20']:.3f} of the model in use ({current['version']})"
        )
    return None


def _worse(metrics: Mapping[str, float], prefix: str, others: Mapping[str, float], other: str) -> str | None:
    for name in ("recall@20", "ndcg@20"):
        mine, theirs = metrics[prefix + name], others[other + name]
        errors = metrics[f"{prefix}{name}_standard_error"], others[f"{other}{name}_standard_error"]
        margin = _INTERVAL * math.hypot(*errors)
        if mine + margin < theirs:
            return f"{name} is {mine:.4f}, below the {theirs:.4f} (± {margin:.4f} for chance) reached"
    return None


def serving_refusal(
    model: ItemModel,
    books: Sequence[Book],
    log: InteractionLog,
    *,
    weights: InteractionWeights = DEFAULT_WEIGHTS,
    seed: int = 0,
) -> str | None:
    """Say what is wrong with what a sample of readers would be shown by this model, or None."""
    live = Recommender.of(books, log, model, weights=weights)
    ids = {book.id for book in books}
    readers = np.unique(log.reader_ids)
    if len(readers) > _SAMPLE:
        readers = np.random.default_rng(seed).choice(readers, _SAMPLE, replace=False)
    for reader_id in readers.tolist():
        shown = live.ranked(Query(reader_id, places=_PLACES))
        if len(set(shown)) != len(shown):
            return f"reader {reader_id} would be shown a book twice"
        if not ids.issuperset(shown):
            return f"reader {reader_id} would be shown a book that the catalogue lacks"
        if shown != live.ranked(Query(reader_id, places=_PLACES)):
            return f"reader {reader_id} would not be shown the same books again"
    return None
