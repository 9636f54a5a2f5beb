"""What readers take back, do not want or rate low, and what comes in any order, as their answers show it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.answers import Query, Strategy
from service.domain.interactions import InteractionType
from service.domain.model import RankingSettings
from service.domain.recommender import Recommender
from tests.domain.shop import book, did, log_of, model_of

VIEW, WISHLIST, PURCHASE, READ, RATING, REMOVE, NOT_INTERESTED = InteractionType
BOOKS = [book(number) for number in range(1, 9)]
# 1 and 2 both speak for 4, each for one more; 3 speaks for 4 alone.
MODEL = model_of({1: {4: 1.0, 5: 0.5}, 2: {4: 0.75, 6: 0.5}, 3: {4: 0.25}}, range(1, 9))
SEVENS = Query(reader_id=7, places=20)


def shop(*interactions, model=MODEL):
    return Recommender.of(BOOKS, log_of(*interactions), model)


def scores(live, query=SEVENS):
    """Return the learned part of an answer: {book id: score}."""
    return {each.book.id: each.score for each in live.recommend(query).suggestions if each.because_id}


def offered(live, **query):
    return [each.book.id for each in live.recommend(Query(reader_id=7, places=20, **query)).suggestions]


def test_after_an_undo_the_answer_is_what_it_was_before():
    live = shop(did(7, 2))
    before = live.recommend(SEVENS)
    live.learn([did(7, 1, PURCHASE, at=1)])
    assert live.recommend(SEVENS) != before
    live.learn([did(7, 1, REMOVE, at=2)])
    assert live.recommend(SEVENS) == before
    assert 1 in offered(live)


def test_an_undone_only_purchase_leaves_a_stranger():
    live = shop(did(7, 1), did(7, 1, REMOVE, at=1))
    assert live.recommend(SEVENS).strategy is Strategy.POPULAR


def test_a_book_that_is_not_wanted_is_never_offered_and_its_neighbours_lose():
    live = shop(did(7, 1))
    assert scores(live) == {4: 1.0, 5: 0.5}
    live.learn([did(7, 2, NOT_INTERESTED, at=1)])
    assert scores(live) == {4: 0.25, 5: 0.5}
    assert 2 not in offered(live)
    assert 2 not in offered(live, include_read=True)
    assert 1 in offered(live, include_read=True)


def test_a_book_that_is_bought_after_all_is_wanted_again():
    live = shop(did(7, 1), did(7, 2, NOT_INTERESTED, at=1), did(7, 2, VIEW, at=2))
    assert 2 not in offered(live, include_read=True)
    live.learn([did(7, 2, PURCHASE, at=3)])
    assert scores(live) == {4: 1.75, 5: 0.5, 6: 0.5}
    assert 2 in offered(live, include_read=True)


def test_a_rating_below_the_readers_mean_takes_from_the_neighbours():
    live = shop(did(7, 1, RATING, rating=5), did(7, 2, RATING, at=1, rating=1))
    assert scores(live) == {4: 1.0 - 0.5 * 0.75, 5: 0.5}


def test_what_falls_to_nothing_is_no_longer_learned_but_may_fill():
    live = shop(did(7, 2), did(7, 1, NOT_INTERESTED, at=1))
    answer = live.recommend(SEVENS)
    assert scores(live) == {6: 0.5}
    assert answer.filled == len(answer.suggestions) - 1
    assert 4 in offered(live)


def test_dislikes_alone_recommend_nothing_of_their_own():
    answer = shop(did(7, 1, NOT_INTERESTED)).recommend(SEVENS)
    assert answer.strategy is Strategy.POPULAR
    assert 1 not in [each.book.id for each in answer.suggestions]


def test_reasons_are_liked_books_and_their_share_is_at_most_the_whole():
    live = shop(did(7, 1), did(7, 3, at=1), did(7, 2, NOT_INTERESTED, at=2))
    best = {each.book.id: each for each in live.recommend(SEVENS).suggestions}[4]
    assert (best.because_id, best.score, best.share) == (1, 0.5, 1.0)


def test_of_a_very_long_history_the_newest_count_and_all_stay_hidden():
    count = RankingSettings().longest_history + 50
    books = [book(number) for number in range(1, count + 3)]
    # The oldest speaks for one more book, the newest for another.
    model = model_of({1: {count + 1: 1.0}, count: {count + 2: 1.0}}, range(1, count + 3))
    live = Recommender.of(
        books, log_of(*(did(7, number, at=number) for number in range(1, count + 1))), model
    )
    assert scores(live) == {count + 2: 1.0}
    assert set(offered(live)) == {count + 1, count + 2}


_DOINGS = st.lists(
    st.tuples(
        st.integers(1, 8),
        st.sampled_from(list(InteractionType)),
        st.integers(2, 10),  # twice the rating
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80)
@given(st.data(), _DOINGS)
def test_any_order_of_arrival_gives_the_same_answers(data, doings):
    events = [
        did(7, book_id, kind, at=at, rating=halves / 2 if kind == RATING else None)
        for at, (book_id, kind, halves) in enumerate(doings)
    ]
    in_order, shuffled = shop(*events), shop()
    arrival = data.draw(st.permutations(events))
    again = data.draw(st.lists(st.sampled_from(events), max_size=3))
    lots = data.draw(st.integers(1, 5))
    for start in range(0, len(arrival), lots):
        shuffled.learn(arrival[start : start + lots])
    assert shuffled.popular("", 9) == in_order.popular("", 9)
    shuffled.refresh_popularity()
    for query in (SEVENS, Query(reader_id=7, places=20, include_read=True)):
        assert shuffled.recommend(query) == in_order.recommend(query)
    shuffled.learn(again)
    assert shuffled.recommend(SEVENS) == in_order.recommend(SEVENS)


@settings(max_examples=80)
@given(st.integers(0, 2**32 - 1), st.integers(2, 25))
def test_ranking_with_dislikes_agrees_with_the_definition(seed, size):
    rng = np.random.default_rng(seed)
    # Powers of two: sums are exact in any order.
    matrix = np.where(rng.random((size, size)) < 0.4, rng.choice([0.25, 0.5, 1.0], (size, size)), 0)
    # A book without learned neighbours gets some by content; here each has one.
    empty = np.flatnonzero(~matrix.any(axis=1))
    matrix[empty, (empty + 1) % size] = 0.25
    done = rng.permutation(size)[: rng.integers(1, size)]
    disliked = rng.random(len(done)) < 0.4
    neighbours = {
        source + 1: {target + 1: matrix[source, target] for target in np.flatnonzero(matrix[source])}
        for source in range(size)
    }
    live = Recommender.of(
        [book(number + 1) for number in range(size)],
        log_of(
            *(
                did(7, int(number) + 1, NOT_INTERESTED if no else READ, at=at)
                for at, (number, no) in enumerate(zip(done, disliked, strict=True))
            )
        ),
        model_of(neighbours, range(1, size + 1)),
    )
    gains, losses = matrix[done[~disliked]].sum(axis=0), matrix[done[disliked]].sum(axis=0)
    total = gains - losses
    learned = {n + 1: total[n] for n in range(size) if total[n] > 0 and n not in done}
    assert scores(live) == learned
    for each in live.recommend(Query(reader_id=7, places=size)).suggestions[: len(learned)]:
        strongest = matrix[done[~disliked], each.book.id - 1].max()
        assert matrix[each.because_id - 1, each.book.id - 1] == strongest
        assert each.because_id - 1 in done[~disliked]
        assert each.share == pytest.approx(min(1, strongest / total[each.book.id - 1]))
