"""How much each kind of interaction weighs, and its age, as a shop sets them."""

import pytest

from service.domain.answers import Query
from service.domain.interactions import InteractionType, InteractionWeights
from service.domain.recommender import Recommender
from tests.domain.shop import book, did, log_of, model_of

VIEW, WISHLIST, PURCHASE, READ, RATING, REMOVE, NOT_INTERESTED = InteractionType
BOOKS = [book(number) for number in range(1, 6)]
MODEL = model_of({1: {3: 1.0}, 2: {4: 1.0}}, range(1, 6))
DAY = 86_400_000_000


def scores(*events, **weights):
    live = Recommender.of(BOOKS, log_of(*events), MODEL, weights=InteractionWeights(**weights))
    answer = live.recommend(Query(reader_id=7, places=5))
    return {each.book.id: each.score for each in answer.suggestions if each.because_id}


@pytest.mark.parametrize(
    ("kind", "weights", "score"),
    [
        (VIEW, {}, 0.2),
        (VIEW, {"view": 0.05}, 0.05),
        (WISHLIST, {"wishlist": 0.75}, 0.75),
        (PURCHASE, {"purchase": 0.625}, 0.625),
        (READ, {"view": 0.1, "wishlist": 0.3, "purchase": 0.9}, 1.0),
    ],
)
def test_an_interaction_weighs_what_its_kind_is_set_to(kind, weights, score):
    assert scores(did(7, 1, kind), **weights) == {3: pytest.approx(score)}


def test_a_kind_of_no_weight_speaks_for_nothing():
    assert scores(did(7, 1, VIEW), view=0.0) == {}


def test_of_five_different_weights_the_strongest_event_counts():
    weights = {"view": 0.1, "wishlist": 0.3, "purchase": 0.9}
    events = [did(7, 1, kind, at=at) for at, kind in enumerate((PURCHASE, WISHLIST, VIEW))]
    assert scores(*events, **weights) == {3: pytest.approx(0.9)}


def test_what_is_a_half_life_older_than_the_latest_weighs_half():
    events = did(7, 1, at=0), did(7, 2, at=30 * DAY)
    assert scores(*events) == {3: 1.0, 4: 1.0}
    assert scores(*events, half_life_days=30) == {3: pytest.approx(0.5), 4: 1.0}
    # Age is counted back from the reader's own latest doings, not from today.
    assert scores(did(7, 1, at=0), half_life_days=30) == {3: 1.0}


def test_popularity_counts_by_the_same_weights():
    log = log_of(did(1, 1, VIEW), did(2, 2, WISHLIST))
    live = Recommender.of(BOOKS, log, None, weights=InteractionWeights(view=0.6, wishlist=0.25))
    found = [(each.book.id, each.score) for each in live.popular("", 5)]
    assert found == [(1, pytest.approx(0.6)), (2, pytest.approx(0.25))]
