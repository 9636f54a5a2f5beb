"""Pages of a list that changes between them: nothing comes twice, nothing that is there is passed over."""

import pytest

from service.domain.answers import Query
from service.domain.interactions import InteractionType
from service.domain.recommender import Recommender
from tests.domain.shop import book, did, log_of, model_of

NUMBERS = range(1, 31)
MODEL = model_of({1: {n: 1 / n for n in range(2, 12)}, 2: {n: 2.0 + n / 100 for n in range(5, 20)}}, NUMBERS)


def shop(*events, books=None):
    return Recommender.of(books or [book(n) for n in NUMBERS], log_of(did(7, 1), *events), MODEL)


def pages(live, change=lambda live: None, **query):
    """Ask for page after page, and let something happen behind each."""
    shown: list[int] = []
    while True:
        answer = live.recommend(Query(reader_id=7, places=4, shown=tuple(shown), **query))
        shown += [each.book.id for each in answer.suggestions]
        if not answer.more:
            return shown
        change(live)


@pytest.mark.parametrize(
    "query", [{}, {"diversity": 0.5}, {"most_per_author": 1}, {"any_volume": True}], ids=str
)
def test_pages_of_a_list_at_rest_are_its_parts(query):
    live = shop()
    assert pages(live, **query) == live.ranked(Query(reader_id=7, places=100, **query))


def reads(live):
    live.learn([did(7, 2, at=5)])


def others_read(live):
    live.learn([did(reader, book_id) for reader in range(50, 60) for book_id in (28, 29, 30)])
    live.refresh_popularity()


@pytest.mark.parametrize("change", [reads, others_read], ids=lambda change: change.__name__)
def test_nothing_comes_twice_and_nothing_is_passed_over(change):
    live = shop()
    found = pages(live, change)
    assert len(found) == len(set(found))
    # 2 was on the first page already when it was read.
    assert set(found) == set(NUMBERS) - {1}


def test_what_is_read_or_not_wanted_meanwhile_does_not_come_any_more():
    live = shop()
    found = pages(live, lambda live: live.learn([did(7, 11, InteractionType.NOT_INTERESTED, at=9)]))
    assert sorted([*found, 1, 11]) == list(NUMBERS)


def test_books_that_come_and_go_meanwhile_shift_nothing():
    def change(live):
        live.upsert_books([book(40)])
        live.delete_books([3, 25])

    found = pages(shop(), change)
    assert len(found) == len(set(found))
    assert set(found) | {3} == (set(NUMBERS) | {40}) - {1, 25}


def test_another_replica_that_knows_less_goes_on_where_the_first_one_was():
    ahead, behind = shop(did(7, 2, at=5)), shop()
    first = ahead.ranked(Query(reader_id=7, places=6))
    rest = behind.ranked(Query(reader_id=7, places=100, shown=tuple(first)))
    assert not set(first) & set(rest)
    assert set(first) | set(rest) >= set(NUMBERS) - {1, 2}


def test_an_author_or_a_work_of_an_earlier_page_takes_no_more_room():
    books = [
        book(n, authors=("Poe",) if n % 2 else ("Doyle",), work_id=77 if n in (2, 3) else 0) for n in NUMBERS
    ]
    live = shop(books=books)
    assert len(pages(live, most_per_author=3)) == 6
    other = live.ranked(Query(reader_id=7, places=100, shown=(3,)))
    assert 2 not in other
    assert 2 in live.ranked(Query(reader_id=7, places=100, shown=(3,), any_edition=True))
