"""One edition of a work, and no volume of a series before the ones that come first."""

import pytest

from service.domain.answers import Query
from service.domain.interactions import InteractionType
from service.domain.recommender import Recommender
from tests.domain.shop import book, did, log_of, model_of


def volume(book_id, number, *categories, series="Saga", **fields):
    return book(book_id, *categories, series=series, series_position=number, **fields)


# 1 speaks for everything; 10 to 14 are a series with a novella in it, 12 and 22 editions of volume 2.
SAGA = [
    book(1),
    volume(10, 1),
    volume(11, 1.5),
    volume(12, 2, work_id=5),
    volume(22, 2, work_id=5),
    volume(13, 3),
    volume(14, 4),
    book(30),
]
ALL = model_of({1: {10: 0.1, 11: 0.2, 12: 0.3, 22: 0.35, 13: 0.4, 14: 0.5, 30: 0.05}}, [b.id for b in SAGA])


def offered(*events, model=ALL, books=SAGA, **query):
    live = Recommender.of(books, log_of(did(7, 1), *events), model)
    return [each.book.id for each in live.recommend(Query(reader_id=7, places=20, **query)).suggestions]


def test_only_what_comes_next_in_a_series_is_offered():
    assert offered() == [10, 30]
    assert offered(did(7, 10, at=1)) == [22, 11, 30]
    assert offered(did(7, 10, at=1), did(7, 12, at=2)) == [13, 11, 30]
    assert offered(did(7, 10, at=1), did(7, 22, at=2), did(7, 13, at=3)) == [14, 11, 30]


def test_a_later_volume_that_was_read_does_not_stand_for_the_ones_before():
    assert offered(did(7, 12, at=1)) == [10, 30]


def test_volumes_in_any_order_where_they_are_asked_for():
    assert offered(any_volume=True) == [14, 13, 22, 11, 10, 30]
    assert offered(any_volume=True, any_edition=True) == [14, 13, 22, 12, 11, 10, 30]


def test_a_volume_only_looked_at_is_not_read():
    assert 22 not in offered(did(7, 10, InteractionType.VIEW, at=1))


def test_the_books_of_a_session_count_as_read():
    live = Recommender.of(SAGA, log_of(), ALL)
    answer = live.recommend(Query(recent_book_ids=(10, 1), places=20))
    assert [each.book.id for each in answer.suggestions] == [22, 11, 30]


def test_volumes_before_that_the_catalogue_lacks_hold_nothing_back():
    live = Recommender.of(SAGA, log_of(did(7, 1)), ALL)
    live.delete_books([10, 12, 22])
    assert 13 in [each.book.id for each in live.recommend(Query(reader_id=7)).suggestions]
    live.upsert_books([volume(10, 1)])
    assert 13 not in [each.book.id for each in live.recommend(Query(reader_id=7)).suggestions]


def test_popular_books_keep_to_series_and_editions_too():
    crowd = [did(20 + n, 14) for n in range(3)] + [did(30 + n, each) for n in range(2) for each in (12, 22)]
    live = Recommender.of(SAGA, log_of(*crowd, did(40, 10)), None)
    assert [each.book.id for each in live.recommend(Query()).suggestions] == [10, 1, 30]
    answer = live.recommend(Query(any_volume=True))
    assert [each.book.id for each in answer.suggestions] == [14, 12, 10, 1, 11, 13, 30]


def test_volumes_of_unknown_number_and_series_of_other_names_are_in_nobodys_way():
    books = [book(1), volume(2, 0), volume(3, 2), volume(4, 1, series="Another"), volume(5, 2, series="")]
    model = model_of({1: {2: 0.4, 3: 0.3, 4: 0.2, 5: 0.1}}, range(1, 6))
    assert offered(books=books, model=model) == [2, 3, 4, 5]


EDITIONS = [
    book(1),
    book(2, "hardback", work_id=9),
    book(3, "paperback", work_id=9),
    book(4, work_id=8),
    book(5),
]
BOTH = model_of({1: {2: 0.5, 3: 0.4, 4: 0.3}}, range(1, 6))


def test_the_best_edition_of_a_work_stands_for_it():
    assert offered(books=EDITIONS, model=BOTH) == [2, 4, 5]
    assert offered(books=EDITIONS, model=BOTH, any_edition=True) == [2, 3, 4, 5]


def test_of_the_editions_within_the_filter_the_best_one_is_offered():
    assert offered(books=EDITIONS, model=BOTH, categories=("paperback",)) == [3]
    assert offered(books=EDITIONS, model=BOTH, exclude_book_ids=(2,)) == [3, 4, 5]


@pytest.mark.parametrize("kind", [InteractionType.READ, InteractionType.NOT_INTERESTED])
def test_other_editions_of_what_was_read_or_is_not_wanted_are_left_out(kind):
    done = did(7, 3, kind, at=1)
    assert offered(done, books=EDITIONS, model=BOTH) == [4, 5]
    assert offered(done, books=EDITIONS, model=BOTH, any_edition=True) == [2, 4, 5]


def test_a_changed_book_joins_the_editions_of_its_new_work():
    live = Recommender.of(EDITIONS, log_of(did(7, 1)), BOTH)
    live.upsert_books([book(4, work_id=9)])
    assert [each.book.id for each in live.recommend(Query(reader_id=7)).suggestions] == [2, 5]
