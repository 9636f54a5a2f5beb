"""Answers of the recommender, checked against what a reader of the rules would work out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.answers import Query, Strategy
from service.domain.errors import InvalidInput, NotFound
from service.domain.interactions import InteractionType
from service.domain.listing import DEEPEST_PLACE
from service.domain.popularity import WINDOW_STEP_MICROSECONDS, Span
from service.domain.recommender import Recommender
from tests.domain.shop import book, did, log_of, model_of

BOOKS = [book(1), book(2), book(3, "mystery", "horror"), book(4, "horror"), book(5), book(6, "poetry")]
MINUTE = WINDOW_STEP_MICROSECONDS
MODEL = model_of({1: {2: 0.5, 3: 0.25}, 2: {3: 1.0, 4: 0.125}, 5: {1: 1.0}}, [1, 2, 3, 4, 5, 6])


def ids(answer):
    return [each.book.id for each in answer.suggestions]


def shop(*interactions, books=BOOKS, model=MODEL):
    return Recommender.of(books, log_of(*interactions), model)


def test_scores_are_sums_over_the_history():
    answer = shop(did(7, 1), did(7, 2, at=1)).recommend(Query(reader_id=7, places=2))
    assert [(each.book.id, each.score) for each in answer.suggestions] == [(3, 1.25), (4, 0.125)]
    assert answer.strategy is Strategy.PERSONAL
    assert answer.filled == 0
    assert answer.model_version == "m1"


def test_the_reason_is_the_book_that_added_most_with_its_share():
    best = shop(did(7, 1), did(7, 2, at=1)).recommend(Query(reader_id=7, places=1)).suggestions[0]
    assert (best.because_id, best.because_title, best.share) == (2, "Book 2", pytest.approx(0.8))


def test_what_was_read_is_left_out_unless_asked_for():
    readers_shop = shop(did(7, 1), did(7, 2, at=1))
    assert not {1, 2} & set(ids(readers_shop.recommend(Query(reader_id=7))))
    assert 2 in ids(readers_shop.recommend(Query(reader_id=7, include_read=True)))


@pytest.mark.parametrize(
    ("kind", "hidden"),
    [
        (InteractionType.VIEW, False),
        (InteractionType.WISHLIST, False),
        (InteractionType.PURCHASE, True),
        (InteractionType.READ, True),
    ],
)
def test_only_what_was_taken_home_is_hidden(kind, hidden):
    answer = shop(did(7, 2, kind), did(7, 1, at=1)).recommend(Query(reader_id=7))
    assert (2 not in ids(answer)) == hidden


def test_stronger_interactions_weigh_more():
    def score(kind, **rating):
        answer = shop(did(7, 1, kind, **rating)).recommend(Query(reader_id=7, places=6))
        return {each.book.id: each.score for each in answer.suggestions if each.because_id}.get(3, 0)

    rating = InteractionType.RATING
    assert (
        score(InteractionType.VIEW)
        < score(InteractionType.WISHLIST)
        < score(rating, rating=4)
        < score(rating, rating=5)
        == score(InteractionType.READ)
    )
    assert score(rating, rating=1) == 0


def test_categories_hold_for_learned_and_for_filled_places():
    answer = shop(did(7, 1), did(8, 4), did(8, 3)).recommend(Query(reader_id=7, categories=("horror",)))
    assert ids(answer) == [3, 4]
    assert answer.filled == 1


def test_several_categories_mean_any_of_them():
    answer = shop(did(7, 1)).recommend(Query(reader_id=7, categories=("horror", "poetry")))
    assert set(ids(answer)) == {3, 4, 6}


def test_an_unknown_category_is_refused_by_name():
    with pytest.raises(InvalidInput, match=r'categories: "cooking" is not a category'):
        shop().recommend(Query(reader_id=7, categories=("cooking",)))


def test_too_few_results_are_filled_from_popularity_in_order():
    crowd = [did(20 + n, 6) for n in range(3)] + [did(30 + n, 4) for n in range(2)]
    answer = shop(did(7, 1), *crowd).recommend(Query(reader_id=7))
    assert ids(answer) == [2, 3, 6, 4, 5]
    assert answer.filled == 3


def test_an_unknown_reader_gets_popular_books_and_is_told_so():
    answer = shop(did(1, 6)).recommend(Query(reader_id=999, places=1))
    assert ids(answer) == [6]
    assert answer.strategy is Strategy.POPULAR
    assert answer.filled == 1


def test_a_reader_whose_books_say_nothing_gets_popular_books():
    assert shop(did(7, 6)).recommend(Query(reader_id=7)).strategy is Strategy.POPULAR


def test_without_a_model_the_answer_is_degraded():
    answer = shop(did(7, 1), model=None).recommend(Query(reader_id=7))
    assert answer.strategy is Strategy.DEGRADED
    assert answer.model_version == ""
    assert 1 not in ids(answer)


def test_a_session_goes_by_its_recent_books_and_does_not_repeat_them():
    answer = shop().recommend(Query(recent_book_ids=(1,), places=2))
    assert ids(answer) == [2, 3]
    assert answer.strategy is Strategy.SESSION
    assert 1 not in ids(shop().recommend(Query(recent_book_ids=(1,), places=6)))


def test_excluded_books_are_left_out_everywhere():
    answer = shop(did(7, 1)).recommend(Query(reader_id=7, exclude_book_ids=(2, 6, 999)))
    assert set(ids(answer)) == {3, 4, 5}


def test_new_interactions_count_in_the_very_next_answer():
    live = shop(did(8, 6))
    assert live.recommend(Query(reader_id=7)).strategy is Strategy.POPULAR
    live.learn([did(7, 1)])
    answer = live.recommend(Query(reader_id=7, places=2))
    assert answer.strategy is Strategy.PERSONAL
    assert ids(answer) == [2, 3]


def test_new_interactions_join_the_stored_history():
    live = shop(did(7, 1))
    live.learn([did(7, 2, at=5)])
    assert ids(live.recommend(Query(reader_id=7, places=2))) == [3, 4]


def test_a_forgotten_reader_is_a_stranger():
    live = shop(did(7, 1), did(8, 1))
    live.learn([did(7, 2, at=5)])
    live.forget(7)
    assert live.recommend(Query(reader_id=7)).strategy is Strategy.POPULAR
    assert live.reader_count == 1


def test_equal_scores_are_ordered_by_id_whatever_the_order_of_arrival():
    equal = model_of({1: {5: 1.0, 2: 1.0, 4: 1.0}}, [1, 2, 4, 5])
    answer = Recommender.of([book(5), book(4), book(1), book(2)], log_of(did(7, 1)), equal).recommend(
        Query(reader_id=7)
    )
    assert ids(answer) == [2, 4, 5]


def test_pages_join_into_the_whole_list():
    paged = shop(did(7, 1), did(8, 4))
    whole = ids(paged.recommend(Query(reader_id=7, places=5)))
    pages = [paged.recommend(Query(reader_id=7, places=2, shown=whole[:skip])) for skip in (0, 2, 4)]
    assert [book_id for page in pages for book_id in ids(page)] == whole
    assert [page.more for page in pages] == [True, True, False]
    assert [page.filled for page in pages] == [0, 2, 1]


def test_paging_ends_at_the_deepest_place():
    many = [book(n) for n in range(1, DEEPEST_PLACE + 50)]
    shown = range(1, DEEPEST_PLACE - 9)
    answer = Recommender.of(many, log_of()).recommend(Query(places=100, shown=shown))
    assert ids(answer)[0] == DEEPEST_PLACE - 9
    assert len(answer.suggestions) == 10
    assert not answer.more


def test_a_new_book_can_be_found_at_once_and_keeps_histories_valid():
    live = shop(did(7, 1))
    live.upsert_books([book(9, "travel")])
    assert ids(live.recommend(Query(reader_id=7, categories=("travel",)))) == [9]
    live.learn([did(7, 9)])
    assert ids(live.recommend(Query(reader_id=7, places=2))) == [2, 3]


def test_a_deleted_book_is_never_shown_but_still_speaks_for_others():
    live = shop(did(7, 1))
    live.delete_books([1, 2])
    answer = live.recommend(Query(reader_id=7))
    assert not {1, 2} & set(ids(answer))
    assert answer.suggestions[0].book.id == 3
    assert (answer.suggestions[0].because_id, answer.suggestions[0].because_title) == (1, "")


def test_a_replaced_book_moves_to_its_new_shelf():
    live = shop(did(7, 1))
    live.upsert_books([book(3, "poetry")])
    assert set(ids(live.recommend(Query(categories=("poetry",))))) == {3, 6}
    assert 3 not in ids(live.recommend(Query(categories=("horror",))))


def test_a_model_may_know_books_that_the_catalogue_lacks_and_the_other_way_round():
    foreign = model_of({1: {2: 1.0, 77: 5.0}, 77: {2: 1.0}}, [1, 2, 77])
    answer = shop(did(7, 1), model=foreign).recommend(Query(reader_id=7))
    assert ids(answer)[0] == 2
    assert 77 not in ids(answer)


def test_a_new_model_answers_the_next_query():
    live = shop(did(7, 1))
    live.use_model(model_of({1: {6: 1.0}}, [1, 6], version="m2"))
    answer = live.recommend(Query(reader_id=7, places=1))
    assert (ids(answer), answer.model_version) == ([6], "m2")


def test_similar_books_are_the_books_own_neighbours():
    answer = shop().similar(2, (), 10)
    assert ids(answer) == [3, 4]
    assert ids(shop().similar(2, ("mystery",), 10)) == [3]
    with pytest.raises(NotFound, match="book 99"):
        shop().similar(99, (), 10)


def test_popular_books_count_within_the_window():
    live = shop(*(did(n, book_id, at=n * 10 * MINUTE) for n, book_id in ((1, 2), (2, 2), (3, 5))))
    live.learn([did(4, 5, at=40 * MINUTE), did(5, 4, at=50 * MINUTE)])
    assert [(each.book.id, each.score) for each in live.popular("", 9)] == [(2, 2), (5, 2), (4, 1)]
    assert [each.book.id for each in live.popular("", 9, Span(30 * MINUTE))] == [5, 4]
    assert [each.book.id for each in live.popular("horror", 9)] == [4]
    assert live.popular("", 9, Span(51 * MINUTE)) == []


def test_what_rises_goes_before_what_is_large():
    # 2 is read as much as ever, 4 more than before, 5 less, 6 for the first time.
    before = [did(n, 2, at=MINUTE) for n in range(9)] + [did(20, 4, at=MINUTE), did(21, 5, at=MINUTE)]
    now = [did(n, 2, at=5 * MINUTE) for n in range(30, 39)] + [
        did(n, book_id, at=6 * MINUTE) for n, book_id in ((40, 4), (41, 4), (42, 4), (43, 6))
    ]
    live = shop(*before, *now)
    span, earlier = Span(5 * MINUTE), Span(0, 5 * MINUTE)
    found = [(each.book.id, each.score) for each in live.popular("", 9, span, earlier)]
    assert found == [(4, pytest.approx(2 / 2**0.5)), (6, 1.0)]
    assert [each.book.id for each in live.popular("", 9, span)] == [2, 4, 6]


def test_filling_follows_popularity_once_it_is_refreshed():
    live = shop(did(1, 2))
    live.learn([did(2, 6), did(3, 6)])
    live.refresh_popularity()
    assert ids(live.recommend(Query(places=2))) == [6, 2]


def test_an_empty_shop_answers_with_nothing():
    empty = Recommender.of([], log_of(), None)
    assert ids(empty.recommend(Query(reader_id=1))) == []
    assert empty.popular("", 5) == []


def test_an_answer_is_kept_while_nothing_has_changed():
    live = Recommender.of(BOOKS, log_of(did(7, 1)), MODEL, kept_answers=10)
    first = live.recommend(Query(reader_id=7))
    assert live.recommend(Query(reader_id=7)) is first
    assert ids(live.recommend(Query(reader_id=7, places=1))) == ids(first)[:1]
    assert live.recommend(Query(reader_id=8)) is not first


@pytest.mark.parametrize(
    "change",
    [
        lambda live: live.learn([did(7, 2, at=9)]),
        lambda live: live.delete_books([2]),
        lambda live: live.upsert_books([book(9)]),
        lambda live: live.use_model(model_of({1: {6: 1.0}}, [1, 6], version="m2")),
        lambda live: live.refresh_popularity(),
        lambda live: live.forget(7),
    ],
    ids=["learn", "delete", "upsert", "model", "popularity", "forget"],
)
def test_no_kept_answer_outlives_a_change(change):
    live = Recommender.of(BOOKS, log_of(did(7, 1)), MODEL, kept_answers=10)
    fresh = Recommender.of(BOOKS, log_of(did(7, 1)), MODEL)
    first = live.recommend(Query(reader_id=7))
    change(live)
    change(fresh)
    after = live.recommend(Query(reader_id=7))
    assert after is not first
    assert after == fresh.recommend(Query(reader_id=7))


def test_no_more_answers_are_kept_than_allowed():
    live = Recommender.of(BOOKS, log_of(did(7, 1)), MODEL, kept_answers=2)
    first = live.recommend(Query(reader_id=7))
    for reader_id in (8, 9, 10):
        live.recommend(Query(reader_id=reader_id))
    assert live.recommend(Query(reader_id=7)) is not first


@settings(max_examples=60)
@given(st.data())
def test_ranking_agrees_with_the_definition(data):
    size = data.draw(st.integers(1, 40))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    # Weights of few distinct powers of two: sums are exact in any order, and ties are common.
    matrix = np.where(rng.random((size, size)) < 0.3, rng.choice([0.25, 0.5, 1.0], (size, size)), 0)
    # A book without learned neighbours gets some by content; here each has one.
    empty = np.flatnonzero(~matrix.any(axis=1))
    matrix[empty, (empty + 1) % size] = 0.25
    shelves = [("a",), ("b",), ("a", "b")]
    books = [book(n + 1, *shelves[rng.integers(3)]) for n in range(size)]
    neighbours = {
        source + 1: {target + 1: matrix[source, target] for target in np.flatnonzero(matrix[source])}
        for source in range(size)
    }
    read = rng.choice(size, data.draw(st.integers(0, size)), replace=False)
    excluded = rng.choice(size, data.draw(st.integers(0, size)), replace=False)
    places = data.draw(st.integers(1, size + 5))
    category = data.draw(st.sampled_from(["a", "b", ""]))
    if category and not any(category in each.categories for each in books):
        return

    answer = Recommender.of(
        books,
        log_of(*(did(1, int(n) + 1, at=int(n)) for n in read)),
        model_of(neighbours, range(1, size + 1)),
    ).recommend(
        Query(
            reader_id=1,
            categories=(category,) if category else (),
            exclude_book_ids=[int(n) + 1 for n in excluded],
            places=places,
        )
    )

    scores = matrix[read].sum(axis=0)
    allowed = [
        n
        for n in range(size)
        if n not in read and n not in excluded and (not category or category in books[n].categories)
    ]
    learned = sorted((n for n in allowed if scores[n] > 0), key=lambda n: (-scores[n], n))
    rest = [n for n in allowed if scores[n] == 0]
    assert ids(answer) == [n + 1 for n in (learned + rest)[:places]]
    assert answer.more == (len(allowed) > places)
    assert answer.filled == max(0, min(places, len(allowed)) - len(learned))
    for each in answer.suggestions[: len(learned)]:
        assert each.score == scores[each.book.id - 1]
        column = matrix[read, each.book.id - 1]
        assert each.share == pytest.approx(column.max() / column.sum())
        assert matrix[each.because_id - 1, each.book.id - 1] == column.max()
