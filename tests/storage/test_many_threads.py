"""Threads share one database: writers take turns, readers see whole batches."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.storage.rows import book, read


def test_batches_sent_by_several_threads_at_once_are_stored_once(database):
    batches = [[read(f"{lot}-{each}") for each in range(20)] for lot in range(20)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(database.record, batches * 3))
    assert sum(map(bool, itertools.chain(*answers))) == 400
    assert database.counts().interactions == 400


def test_readers_see_whole_batches_while_writers_write(database):
    done = threading.Event()
    seen = []

    def watch() -> None:
        while not done.is_set():
            seen.append(len(database.interactions()))

    with ThreadPoolExecutor(2) as threads:
        watching = threads.submit(watch)
        for lot in range(30):
            database.record([read(f"{lot}-{each}") for each in range(50)])
        done.set()
        watching.result(timeout=30)
    assert all(count % 50 == 0 for count in seen)
    assert seen == sorted(seen)


def test_reading_books_that_is_given_up_halfway_frees_its_connection(database):
    database.upsert_books([book(number) for number in range(1, 5001)])
    for _ in range(40):
        assert next(database.books()) == book(1)
    assert database.record([read("a")]) == [1]


def test_books_read_slowly_are_those_of_one_moment(database):
    database.upsert_books([book(number) for number in range(1, 5001)])
    reading = database.books()
    first = next(reading)
    database.delete_books(range(1, 5001))
    assert [first, *reading] == [book(number) for number in range(1, 5001)]
