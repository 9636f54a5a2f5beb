"""What counts as popular, ever and in windows, with what came since the start."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.interactions import InteractionType
from service.domain.popularity import (
    WINDOW_STEP_MICROSECONDS,
    Popularity,
    PopularityPages,
    Span,
    most_popular,
    popular_order,
)
from tests.domain.shop import did, log_of

VIEW, WISHLIST, PURCHASE, READ, RATING, REMOVE, NOT_INTERESTED = InteractionType
MINUTE = WINDOW_STEP_MICROSECONDS


def positions_in(log):
    """Give book n the position n; the catalogue lacks book 99."""
    return np.where(log.book_ids == 99, -1, log.book_ids).astype(np.int32)


def popularity_of(*interactions, positions=4):
    log = log_of(*interactions)
    return Popularity(PopularityPages.of(log, positions_in(log), positions))


def learn(popularity, *interactions):
    log = log_of(*interactions)
    popularity.learn(log, positions_in(log))


@pytest.mark.parametrize(
    ("kind", "rating", "weight"),
    [
        (VIEW, None, 0.2),
        (WISHLIST, None, 0.5),
        (PURCHASE, None, 1),
        (READ, None, 1),
        (RATING, 5, 1),
        (RATING, 2, 0.25),
        (RATING, 1, 0),
        (REMOVE, None, 0),
        (NOT_INTERESTED, None, 0),
    ],
)
def test_each_type_has_its_weight_stored_or_learned(kind, rating, weight):
    stored = popularity_of(did(7, 1, kind, rating=rating))
    learned = popularity_of()
    learn(learned, did(7, 1, kind, rating=rating))
    assert stored.counts(4)[1] == learned.counts(4)[1] == pytest.approx(weight)


def test_an_undo_takes_nothing_from_what_was_counted():
    live = popularity_of(did(7, 1))
    learn(live, did(7, 1, REMOVE, at=1))
    assert live.counts(4)[1] == 1


def test_a_window_begins_at_the_whole_minute_before():
    live = popularity_of(did(7, 1, at=MINUTE - 1), did(7, 2, at=MINUTE))
    learn(live, did(8, 1, at=MINUTE - 1), did(8, 3, at=MINUTE))
    for since in (MINUTE, MINUTE + 1, 2 * MINUTE - 1):
        assert live.counts(4, Span(since)).tolist() == [0, 0, 1, 1]
    assert live.counts(4, Span(MINUTE - 1)).tolist() == [0, 2, 1, 1]
    assert live.counts(4, Span(2 * MINUTE)).tolist() == [0, 0, 0, 0]


def test_a_window_that_was_asked_for_before_counts_what_comes_late():
    live = popularity_of(did(7, 1, at=5 * MINUTE))
    assert live.counts(4, Span(3 * MINUTE)).sum() == 1
    learn(live, did(7, 2, at=4 * MINUTE), did(7, 3, at=2 * MINUTE))
    assert live.counts(4, Span(3 * MINUTE)).tolist() == [0, 1, 1, 0]


def test_counts_belong_to_the_caller():
    live = popularity_of(did(7, 1))
    for since in (None, 0):
        live.counts(4, Span(since))[:] = 1000
        assert live.counts(4, Span(since)).tolist() == [0, 1, 0, 0]


def test_every_window_is_right_however_many_are_asked_for():
    live = popularity_of(*(did(7, 1, at=n * MINUTE) for n in range(50)))
    for _ in range(2):
        assert [live.counts(4, Span(n * MINUTE))[1] for n in range(50)] == list(range(50, 0, -1))


def test_many_small_batches_count_like_one():
    rng = np.random.default_rng(1)
    events = [
        did(7, int(rng.integers(1, 4)), at=int(rng.integers(0, 9)) * MINUTE + number) for number in range(700)
    ]
    live = popularity_of(*events[:20])
    for event in events[20:]:
        learn(live, event)
    for since in (None, 0, 4 * MINUTE):
        assert live.counts(4, Span(since)).tolist() == popularity_of(*events).counts(4, Span(since)).tolist()


def test_books_that_came_later_or_are_gone_do_no_harm():
    live = popularity_of(did(7, 1), did(7, 99))
    learn(live, did(8, 6), did(8, 99))
    assert live.counts(4).tolist() == [0, 1, 0, 0]
    assert live.counts(7).tolist() == [0, 1, 0, 0, 0, 0, 1]
    assert live.counts(7, Span(0)).tolist() == [0, 1, 0, 0, 0, 0, 1]


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), max_size=30), st.integers(1, 10), st.randoms())
def test_the_most_popular_are_the_first_of_all(weights, places, random):
    counts = np.array(weights)
    ids = np.array(random.sample(range(100), len(weights)), dtype=np.int64)
    among = np.flatnonzero(np.arange(len(weights)) % 3).astype(np.int32)
    expected = [position for position in popular_order(counts, ids).tolist() if position in among][:places]
    assert most_popular(counts, ids, among, places).tolist() == expected


DAY = 24 * 60 * MINUTE


def test_what_is_a_half_life_old_counts_half_wherever_it_is_kept():
    events = did(1, 0, at=10 * DAY), did(2, 1, at=9 * DAY), did(3, 2, VIEW, at=8 * DAY), did(4, 3)
    expected = [1, 0.5, pytest.approx(0.05, rel=1e-6), pytest.approx(0, abs=1e-3)]
    span = Span(half_life=DAY, now=10 * DAY)
    stored, learned = popularity_of(*events), popularity_of()
    log = log_of(*events)
    learned.learn(log, positions_in(log))
    for live in (stored, learned):
        assert live.counts(4, span).tolist() == expected
        assert live.counts(4, span._replace(since=9 * DAY)).tolist() == [1, 0.5, 0, 0]
    assert stored.counts(4).tolist() == [1, 1, pytest.approx(0.2), 1]


def test_what_is_ahead_of_the_clock_counts_no_more_than_what_is_now():
    assert popularity_of(did(1, 1, at=DAY + MINUTE)).counts(4, Span(half_life=DAY, now=DAY))[1] == 1


def test_a_span_ends_before_the_minute_it_names():
    live = popularity_of(did(1, 1, at=DAY), did(2, 1, at=2 * DAY), did(3, 1, at=3 * DAY))
    assert live.counts(4, Span(DAY, 3 * DAY))[1] == 2
    assert live.counts(4, Span(DAY + MINUTE, 3 * DAY + MINUTE))[1] == 2
