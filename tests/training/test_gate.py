"""What may not go into use: worse than popularity or than the model in use, too little data, bad service."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from service.domain.books import Book
from service.domain.interactions import InteractionWeights
from service.domain.recommender import Recommender
from service.training import TrainingSettings, refusal, serving_refusal, train
from tests.training.made_logs import random_log


def manifest(
    recall: float = 0.2, popularity: float = 0.05, error: float = 0.01, **changes: Any
) -> dict[str, Any]:
    metrics = {}
    for name in ("recall@20", "ndcg@20"):
        metrics |= {
            name: recall,
            f"{name}_standard_error": error,
            f"popularity_{name}": popularity,
            f"popularity_{name}_standard_error": error,
        }
    metrics["coverage@20"] = 0.5
    made = {
        "version": "20260101-000000-00000000",
        "neighbour_count": 100,
        "book_count": 50,
        "interaction_count": 900,
        "ranking": {"ordered": True},
        "settings": {},
        "metrics": metrics,
    }
    return made | changes


def test_a_model_as_good_as_the_one_in_use_passes() -> None:
    assert refusal(manifest(), None) is None
    assert refusal(manifest(), manifest()) is None
    assert refusal(manifest(0.18), manifest(0.2)) is None  # by chance
    assert refusal(manifest(metrics={}), manifest(metrics={})) is None  # too little to judge by


@pytest.mark.parametrize(
    ("candidate", "current", "reason"),
    [
        (
            manifest(0.05, 0.2),
            None,
            "recall@20 is 0.0500, below the 0.2000 (± 0.0277 for chance) reached by pop",
        ),
        (manifest(0.1), manifest(0.2), "reached by the model in use (20260101-000000-00000000)"),
        (manifest(neighbour_count=0), None, "no book has neighbours"),
        (manifest(metrics={}), manifest(), "too little was done for figures, which the model in use"),
        (manifest(book_count=24), manifest(), "book_count is 24, less than half of the 50"),
        (manifest(interaction_count=449), manifest(), "interaction_count is 449, less than half of the 900"),
        (manifest(metrics=manifest()["metrics"] | {"coverage@20": 0.2}), manifest(), "coverage@20 is 0.200"),
        (
            manifest(metrics=manifest()["metrics"] | {"coverage@20": 0.0}),
            None,
            "no reader was shown anything",
        ),
    ],
)
def test_a_model_that_may_not_replace_another_is_refused_with_the_reason(
    candidate: dict[str, Any], current: dict[str, Any] | None, reason: str
) -> None:
    assert reason in str(refusal(candidate, current))


def test_figures_of_another_kind_of_holdout_are_not_compared() -> None:
    assert refusal(manifest(0.1), manifest(0.2, ranking={"ordered": False})) is None
    others = {"weights": asdict(InteractionWeights(view=0))}
    assert refusal(manifest(0.1, settings=others), manifest(0.2)) is None
    assert refusal(manifest(0.1, settings=others), manifest(0.2, settings=others)) is not None
    # Models that do not say what they learned by learned by the defaults.
    defaults = {"weights": asdict(InteractionWeights())}
    assert refusal(manifest(0.1, settings=defaults), manifest(0.2)) is not None


def test_what_a_sample_of_readers_would_be_shown_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    log, book_ids = random_log()
    books = [Book(book_id, str(book_id)) for book_id in book_ids.tolist()]
    model = train(log, book_ids, settings=TrainingSettings(factor_count=8))
    assert serving_refusal(model, books, log) is None
    with monkeypatch.context() as changed:
        changed.setattr(Recommender, "ranked", lambda self, query: [1, 1])
        assert "twice" in str(serving_refusal(model, books, log))
        changed.setattr(Recommender, "ranked", lambda self, query: [10**9])
        assert "lacks" in str(serving_refusal(model, books, log))
        answers = iter(range(10**6))
        changed.setattr(Recommender, "ranked", lambda self, query: [book_ids[next(answers) % 2]])
        assert "again" in str(serving_refusal(model, books, log))


def test_a_model_without_factors_serves_too() -> None:
    log, book_ids = random_log()
    books = [Book(book_id, str(book_id)) for book_id in book_ids.tolist()]
    model = train(log, book_ids, settings=TrainingSettings(factor_count=0))
    assert model.source_factors.size == 0
    assert serving_refusal(replace(model, metrics={}), books, log) is None
    assert np.isfinite(model.weights).all()
