"""What interactions weigh to learning, to its figures and to the gate: what the settings say."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.domain.books import Book
from service.domain.interactions import DEFAULT_WEIGHTS, InteractionType, InteractionWeights
from service.domain.recommender import Recommender
from service.training import (
    TrainingError,
    TrainingSettings,
    evaluate,
    serving_refusal,
    split,
    train,
    train_with_holdout,
)
from service.training.cells import fold
from tests.training.made_logs import log_of, random_log

WEIGHTS = InteractionWeights(view=0.9, wishlist=0.05, purchase=0.3, half_life_days=4_000)
SMALL = TrainingSettings(factor_count=8, rerank_count=30, weights=WEIGHTS)


def test_a_cell_is_what_serving_makes_of_the_same_interactions() -> None:
    kinds = (InteractionType.VIEW, InteractionType.WISHLIST, InteractionType.PURCHASE, InteractionType.READ)
    log = log_of([(7, book_id, kind) for book_id, kind in enumerate(kinds, 1)], step_microseconds=0)
    assert fold(log, np.arange(1, 5), WEIGHTS).preferences.tolist() == pytest.approx([0.9, 0.05, 0.3, 1.0])
    days = log_of([(7, 1), (7, 2)], step_microseconds=86_400_000_000)
    waning = InteractionWeights(half_life_days=1)
    assert fold(days, np.arange(1, 3), waning).preferences.tolist() == pytest.approx([0.5, 1.0])


def test_figures_of_a_holdout_are_those_of_the_same_weights() -> None:
    log, book_ids = random_log()
    model = train_with_holdout(log, book_ids, settings=SMALL)
    left, held_out = split(log, latest=True)
    again = evaluate(train(left, book_ids, settings=SMALL), left, held_out, weights=WEIGHTS)
    assert model.metrics["recall@20"] == again.recall
    assert model.metrics["ndcg@20"] == again.ndcg
    assert model.metrics["ndcg@20"] != evaluate(train(left, book_ids, settings=SMALL), left, held_out).ndcg
    by_defaults = train(log, book_ids, settings=replace(SMALL, weights=DEFAULT_WEIGHTS))
    assert not np.array_equal(model.weights, by_defaults.weights)


def test_books_looked_for_may_have_been_read_ages_ago() -> None:
    log, book_ids = random_log()
    read = np.full_like(log.types, InteractionType.READ)
    left, held_out = split(replace(log, types=read, ratings=np.full_like(log.ratings, np.nan)))
    long_ago = replace(held_out, occurred_at=np.zeros_like(held_out.occurred_at))
    waning = replace(WEIGHTS, half_life_days=1)
    model = train(left, book_ids, settings=replace(SMALL, weights=waning))
    everyone = evaluate(model, left, held_out).reader_count
    assert evaluate(model, left, long_ago, weights=waning).reader_count == everyone >= 50


def test_preferences_that_waned_to_nothing_leave_a_model_of_finite_numbers() -> None:
    log, book_ids = random_log()  # over 31 years
    model = train(log, book_ids, settings=replace(SMALL, weights=InteractionWeights(half_life_days=30)))
    for name in ("weights", "popularity", "source_factors", "target_scales"):
        assert np.isfinite(getattr(model, name)).all(), name


def test_interactions_that_all_weigh_nothing_are_refused() -> None:
    log = log_of([(1, 1, InteractionType.VIEW), (2, 2, InteractionType.VIEW)])
    with pytest.raises(TrainingError, match="none of 2 speaks for its book"):
        train(log, np.arange(1, 3), settings=replace(SMALL, weights=InteractionWeights(view=0)))


def test_the_gate_looks_at_what_would_be_served_by_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    log, book_ids = random_log()
    books = [Book(book_id, str(book_id)) for book_id in book_ids.tolist()]
    model = train(log, book_ids, settings=SMALL)
    expected = Recommender.of(books, log, model, weights=WEIGHTS).popular("", 20)
    ranked, looked = Recommender.ranked, []

    def looking(self: Recommender, query: Any) -> list[int]:
        looked.append(self.popular("", 20))
        return ranked(self, query)

    monkeypatch.setattr(Recommender, "ranked", looking)
    assert serving_refusal(model, books, log, weights=WEIGHTS) is None
    assert looked[0] == expected
    assert expected != Recommender.of(books, log, model).popular("", 20)
