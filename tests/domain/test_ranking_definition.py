"""Rankings by recency, neighbours and factors, against the model's definition written out in NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from service.domain.answers import Query
from service.domain.interactions import InteractionType
from service.domain.model import RankingSettings
from service.domain.recommender import Recommender
from tests.domain.shop import book, did, log_of, model_of

BOOK_COUNT, DIMENSIONS, RARE = 90, 8, "rare"
SETTINGS = RankingSettings(
    recency_exponent=0.5,
    fold_in_exponent=1.0,
    rerank_count=25,
    rerank_weight=0.7,
    longest_history=12,
    ordered=True,
)
KINDS = {InteractionType.READ: 1.0, InteractionType.WISHLIST: 0.5, InteractionType.VIEW: 0.2}


def made(seed: int, settings: RankingSettings, *, shortest: int = 1):
    rng = np.random.default_rng(seed)
    matrix = np.where(rng.random((BOOK_COUNT, BOOK_COUNT)) < 0.4, rng.random((BOOK_COUNT, BOOK_COUNT)), 0)
    matrix = matrix.astype(np.float32)
    sources = rng.normal(size=(BOOK_COUNT, DIMENSIONS)).astype(np.float32) + 0.3
    targets = rng.integers(-80, 128, (BOOK_COUNT, DIMENSIONS), dtype=np.int8)
    scales = rng.uniform(0.01, 0.02, BOOK_COUNT).astype(np.float32)
    kinds = rng.choice(list(KINDS), size=rng.integers(shortest, 30))
    history = rng.permutation(BOOK_COUNT)[: len(kinds)]
    model = model_of(
        {s + 1: {t + 1: matrix[s, t] for t in np.flatnonzero(matrix[s])} for s in range(BOOK_COUNT)},
        range(1, BOOK_COUNT + 1),
        source_factors=sources,
        target_factors=targets,
        target_scales=scales,
        ranking=settings,
    )
    events = [
        did(7, int(n) + 1, kind, at=at) for at, (n, kind) in enumerate(zip(history, kinds, strict=True))
    ]
    books = [book(n + 1, RARE if n % 9 == 0 else "mystery") for n in range(BOOK_COUNT)]
    live = Recommender.of(books, log_of(*events), model)
    factors = np.array([sources, scales[:, None] * targets])
    return live, matrix, factors, history, np.array([KINDS[kind] for kind in kinds])


def by_definition(matrix, factors, history, liking, settings):
    """Return the book ids of the whole list, by the formulae of RankingSettings, and their scores."""
    latest = history[::-1][: settings.longest_history]
    r = liking[::-1][: settings.longest_history]
    p = np.arange(len(latest))
    s1 = ((1 + p) ** -settings.recency_exponent * r) @ matrix[latest].astype(np.float64)
    hidden = history[liking == 1.0]
    s1[hidden] = 0
    order = np.lexsort((np.arange(BOOK_COUNT), -s1))
    order = order[s1[order] > 0]
    best, rest = order[: settings.rerank_count], order[settings.rerank_count :]
    sources, targets = factors.astype(np.float64)
    e = sources[latest]
    a = np.linalg.solve(e @ e.T + np.diag((1 + p) ** settings.fold_in_exponent / r), np.ones(len(latest)))
    s2 = targets[best] @ (e.T @ a)
    w = settings.rerank_weight
    mean_s1, mean_s2 = np.sort(s1[best])[-20:].mean(), np.sort(s2)[-20:].mean()
    final = (1 - w) * s1[best] / mean_s1 + (w * s2 / mean_s2 if mean_s2 > 0 else 0)
    ranked = np.argsort(-final)
    return (np.append(best[ranked], rest) + 1).tolist(), final[ranked]


@pytest.mark.parametrize("seed", range(12))
def test_lists_are_those_of_the_definition(seed):
    live, *parts = made(seed, SETTINGS)
    expected, scores = by_definition(*parts, SETTINGS)
    answer = live.recommend(Query(reader_id=7, places=100))
    learned = [each for each in answer.suggestions if each.because_id]
    assert [each.book.id for each in learned] == expected
    assert [each.score for each in learned[: len(scores)]] == pytest.approx(scores, rel=1e-3, abs=1e-4)
    # What stands behind the candidates ranked anew never scores above them.
    assert sorted((each.score for each in learned), reverse=True) == [each.score for each in learned]


@pytest.mark.parametrize("seed", range(6))
def test_a_history_that_touches_nearly_every_book_is_ranked_by_the_definition(seed):
    settings = replace(SETTINGS, longest_history=30)
    live, *parts = made(seed, settings, shortest=25)
    expected, _ = by_definition(*parts, settings)
    answer = live.recommend(Query(reader_id=7, places=100))
    assert [each.book.id for each in answer.suggestions if each.because_id] == expected


@pytest.mark.parametrize("seed", range(6))
def test_a_rare_category_is_filled_from_below_the_best_of_all(seed):
    settings = RankingSettings(recency_exponent=0.5, longest_history=12)
    live, matrix, factors, history, liking = made(seed, settings, shortest=12)
    expected, _ = by_definition(matrix, factors, history, liking, replace(settings, rerank_weight=0))
    rare = [book_id for book_id in expected if book_id % 9 == 1]
    answer = live.recommend(Query(reader_id=7, categories=(RARE,), places=8))
    assert [each.book.id for each in answer.suggestions if each.because_id] == rare[:8]


@pytest.mark.parametrize("seed", range(4))
def test_without_factors_recency_alone_weighs_the_history(seed):
    settings = RankingSettings(recency_exponent=0.5, longest_history=12)
    live, matrix, _, history, liking = made(seed, settings)
    scores = sum(
        liking[-1 - p] * (1 + p) ** -0.5 * matrix[history[-1 - p]].astype(np.float64)
        for p in range(min(12, len(history)))
    )
    answer = live.recommend(Query(reader_id=7, places=100, include_read=True))
    for each in answer.suggestions:
        if each.because_id:
            assert each.score == pytest.approx(scores[each.book.id - 1], rel=1e-4)


def test_the_order_of_a_history_counts_where_the_model_learned_from_it():
    model = model_of({1: {3: 1.0}, 2: {4: 1.0}}, range(1, 5), ranking=RankingSettings(recency_exponent=0.5))
    for latest, best in ((1, 3), (2, 4)):
        live = Recommender.of(
            [book(n) for n in range(1, 5)], log_of(did(7, 1, at=2 - latest), did(7, 2, at=latest - 1)), model
        )
        assert live.ranked(Query(reader_id=7, places=1)) == [best]


def test_a_page_of_one_and_a_page_of_a_hundred_begin_alike():
    live, *_ = made(3, SETTINGS)
    whole = live.ranked(Query(reader_id=7, places=100))
    for places in (1, 10, 24, 25, 26):
        assert live.ranked(Query(reader_id=7, places=places)) == whole[:places]


def test_what_is_ranked_is_what_is_recommended():
    live, *_ = made(5, SETTINGS)
    for query in (Query(reader_id=7), Query(recent_book_ids=(1, 2)), Query(reader_id=8)):
        assert live.ranked(query) == [each.book.id for each in live.recommend(query).suggestions]
