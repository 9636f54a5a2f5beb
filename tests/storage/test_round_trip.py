"""What was stored is what is read, whole and in order."""

import math

from service.domain.books import LARGEST_ID, Book
from service.domain.interactions import Interaction, InteractionType
from service.storage import Database
from tests.storage.rows import book, read

FULL = Book(
    id=LARGEST_ID,
    title='Der "Zauberberg", \u00e9dition \U0001f4da',
    authors=("Mann, Thomas", "N.N."),
    year=-400,
    language="de-DE",
    series="Werke; Band",
    series_position=2.5,
    work_id=LARGEST_ID,
    categories=("classics", "ghost-stories"),
)


def test_books_come_back_equal_and_by_id(database):
    assert database.upsert_books([FULL, book(7), book(3)]) == (3, 0)
    assert list(database.books()) == [book(3), book(7), FULL]


def test_upsert_replaces_every_field_and_counts(database):
    database.upsert_books([book(1), book(2)])
    changed = Book(id=1, title="Another", authors=("B",), year=1900, categories=("poetry",))
    assert database.upsert_books([changed, book(3)]) == (1, 1)
    assert list(database.books()) == [changed, book(2), book(3)]


def test_deleting_books_counts_those_that_were_there(database):
    database.upsert_books([book(1), book(2), book(3)])
    assert database.delete_books([1, 3, 99]) == 2
    assert list(database.books()) == [book(2)]
    assert database.delete_books([]) == 0


def test_a_million_parameters_are_no_limit_for_ids(database):
    database.upsert_books([book(1)])
    assert database.delete_books(range(1, 70_001)) == 1


def test_interactions_come_back_in_the_order_in_which_they_were_stored(database):
    first = Interaction("z", LARGEST_ID, 5, InteractionType.RATING, 3, rating=4.5, recommendation_id="r-1")
    second = Interaction("a", 1, LARGEST_ID, InteractionType.VIEW, 1_900_000_000_000_001)
    assert database.record([first, second]) == [1, 2]
    log = database.interactions()
    assert len(log) == 2
    assert log.reader_ids.tolist() == [LARGEST_ID, 1]
    assert log.book_ids.tolist() == [5, LARGEST_ID]
    assert log.types.tolist() == [InteractionType.RATING, InteractionType.VIEW]
    assert log.ratings[0] == 4.5
    assert math.isnan(log.ratings[1])
    assert log.occurred_at.tolist() == [3, 1_900_000_000_000_001]


def test_an_empty_database_has_an_empty_log(database):
    assert len(database.interactions()) == 0
    assert database.record([]) == []
    assert database.counts() == (0, 0)


def test_a_stored_id_is_a_duplicate_and_changes_nothing(database):
    assert database.record([read("a"), read("b")]) == [1, 2]
    third, *known = database.record([read("c"), read("b", reader=99), read("a")])
    assert third > 2
    assert known == [0, 0]
    assert database.interactions().reader_ids.tolist() == [1, 1, 1]


def test_an_id_twice_in_one_batch_is_stored_once(database):
    first, again, other = database.record([read("a", reader=1), read("a", reader=2), read("b")])
    assert 0 < first < other
    assert again == 0
    assert database.interactions().reader_ids.tolist() == [1, 1]


def test_a_batch_of_ten_thousand_is_stored_in_order(database):
    batch = [read(f"i{number}", reader=number + 1) for number in range(10_000)]
    assert all(database.record(batch))
    assert database.interactions().reader_ids.tolist() == list(range(1, 10_001))


def test_logs_longer_than_one_text_and_with_gaps_are_whole(database):
    with database.bulk() as bulk:
        bulk.add_interactions(
            [(f"i{n}", 1 if n < 45_000 else n, n, 4, None, n, "") for n in range(1, 50_001)]
        )
    assert database.forget_reader(1) == 44_999
    assert database.interactions().book_ids.tolist() == list(range(45_000, 50_001))


def test_counts_of_books_and_interactions(database):
    database.upsert_books([book(1), book(2)])
    database.record([read("a")])
    counts = database.counts()
    assert (counts.books, counts.interactions) == (2, 1)


def test_what_was_acknowledged_is_there_after_reopening(url):
    with Database.open(url) as first:
        first.upsert_books([book(1)])
        first.record([read("a")])
    with Database.open(url) as second:
        assert second.counts() == (1, 1)


def test_closing_leaves_one_file(url, path):
    with Database.open(url) as database:
        database.record([read("a")])
    assert [each.name for each in path.parent.iterdir()] == [path.name]
