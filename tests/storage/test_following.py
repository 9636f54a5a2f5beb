"""What became visible between two readings is told exactly, on both products."""

import itertools
import threading

import pytest

from service.domain.exposures import Exposure
from service.storage import Database, StorageError
from tests.storage.rows import book, read


def told(database: Database, since: str) -> tuple[list[int], list[int], list[int], str]:
    """Return the readers of new interactions, changed books, forgotten readers, and the new mark."""
    with database.reading() as reading:
        news = reading.news(since)
        lots = [lot.log.reader_ids.tolist() for lot in news.interactions()]
        readers = list(itertools.chain(*lots))
        assert news.interaction_count() >= len(readers)
        return readers, news.changed_book_ids, news.forgotten_reader_ids, reading.mark


def mark_of(database: Database) -> str:
    with database.reading() as reading:
        return reading.mark


def test_each_thing_is_told_once(database):
    start = mark_of(database)
    database.upsert_books([book(1), book(2)])
    database.record([read("a", reader=5), read("b", reader=6)])
    readers, books, forgotten, mark = told(database, start)
    assert (readers, books, forgotten) == ([5, 6], [1, 2], [])
    assert told(database, mark)[:3] == ([], [], [])
    database.delete_books([1])
    database.forget_reader(5)
    database.record([read("c", reader=7)])
    assert told(database, mark)[:3] == ([7], [1], [5])


def test_a_reading_sees_one_state_whatever_is_written_meanwhile(database):
    database.record([read("a", reader=5)])
    with database.reading() as reading:
        writer = threading.Thread(target=database.record, args=([read("b", reader=6)],))
        writer.start()
        writer.join(20)
        lots = [lot.log.reader_ids.tolist() for lot in reading.interactions()]
        assert list(itertools.chain(*lots)) == [5]
        assert reading.interaction_count() == 1
    assert told(database, reading.mark)[0] == [6]


def test_interactions_of_one_reader(database):
    database.record([read("a", reader=5, of=2), read("b", reader=6), read("c", reader=5, of=1)])
    with database.reading() as reading:
        assert reading.interactions_of(5).book_ids.tolist() == [2, 1]
        assert len(reading.interactions_of(99)) == 0


def test_a_large_lot_of_news_comes_whole_and_in_order(database):
    start = mark_of(database)
    with database.bulk() as bulk:
        for lot in range(5):
            bulk.add_interactions(
                [(f"{lot}-{n}", lot * 10_000 + n + 1, 1, 4, None, 1, "") for n in range(10_000)]
            )
    assert told(database, start)[0] == list(range(1, 50_001))


def test_books_of_some_ids(database):
    database.upsert_books([book(number) for number in range(1, 20)])
    with database.reading() as reading:
        assert [each.id for each in reading.books_of([7, 99, 3])] == [3, 7]
        assert reading.books_of([]) == []
        assert reading.book_count() == 19


def test_a_mark_from_before_a_backup_was_restored_is_refused(database):
    ahead = {"sqlite": "1000:0", "postgresql": "99999999:99999999:"}
    with database.reading() as reading:
        product = "sqlite" if reading.mark == "0:0" else "postgresql"
        with pytest.raises(StorageError, match="older than what is in memory"):
            reading.news(ahead[product])


def test_a_transaction_that_commits_late_is_not_skipped(postgres, migrated):
    """Its rows have numbers below those that were seen long before."""
    name = postgres.create_database(migrated)
    with Database.open(postgres.url(name), password_file=postgres.password_file) as database:
        start = mark_of(database)
        with postgres.connect(name) as late, postgres.connect(name) as undone:
            insert = (
                "INSERT INTO interactions (interaction_id, reader_id, book_id, type, occurred_at,"
                " recommendation_id) VALUES (%s, %s, 1, 4, 1, '')"
            )
            late.execute("BEGIN")
            late.execute(insert, ("late", 5))
            undone.execute("BEGIN")
            undone.execute(insert, ("undone", 6))
            database.record([read("early", reader=7)])
            readers, _, _, mark = told(database, start)
            assert readers == [7]
            undone.execute("ROLLBACK")
            late.execute("COMMIT")
        database.record([read("next", reader=8)])
        assert told(database, mark)[0] == [5, 8]


def test_the_identity_stays_with_the_data(each_database, tmp_path):
    url, password_file = each_database
    with (
        Database.open(url, password_file=password_file) as one,
        Database.open(url, password_file=password_file) as other,
    ):
        assert one.identity == other.identity
        assert len(one.identity) == 36


def test_exposures_are_kept_until_they_are_old(database):
    shown = [
        Exposure(f"answer-{number}", number * 10, "personal", "20261124-120000-abcdef01", (3, 1))
        for number in range(1, 5)
    ]
    database.record_exposures(shown)
    database.record_exposures(shown[:1])
    database.record_exposures([])
    database.record_exposures(shown[:1])  # told twice, as where the first answer was lost
    assert database.prune_exposures(before=25) == 2
    assert database.prune_exposures(before=1000) == 2


def test_a_wide_gap_between_numbers_takes_no_time_to_read(postgres, migrated):
    """What is stored already uses numbers up: an import's second run leaves as wide a gap as it is long."""
    name = postgres.create_database(migrated)
    with Database.open(postgres.url(name), password_file=postgres.password_file) as database:
        start = mark_of(database)
        database.record([read(f"a{n}", reader=n) for n in range(1, 15_001)])
        with postgres.connect(name) as connection:
            connection.execute("SELECT setval('interactions_sequence_seq', 1000000000000)")
        database.record([read(f"b{n}", reader=n) for n in range(15_001, 30_001)])
        assert database.interactions().reader_ids.tolist() == list(range(1, 30_001))
        assert told(database, start)[0] == list(range(1, 30_001))


def test_pruned_changes_are_gone_and_who_has_not_seen_them_is_told(database):
    start = mark_of(database)
    database.forget_reader(5)
    seen = mark_of(database)
    database.upsert_books([book(1)])
    assert database.prune_changes(before=1) == 0
    assert told(database, start)[2] == [5]
    later = 2**62
    assert database.prune_changes(before=later) == 2
    for mark in (start, seen):
        with database.reading() as reading, pytest.raises(StorageError, match="too old to be followed up"):
            reading.news(mark)
    database.forget_reader(6)
    now = mark_of(database)
    database.forget_reader(7)
    assert told(database, now)[2] == [7]
    assert database.prune_changes(before=later) == 2
