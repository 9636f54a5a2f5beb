"""How long PostgreSQL may take: little for a call, as long as it is sound for what reads or writes much."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.domain.errors import Unavailable
from service.storage import Database, migrate
from tests.postgres import PostgresServer
from tests.storage.rows import read
from tests.tools import wait_until

IN_USE = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'recommendations' AND state = 'active'"
)


@pytest.fixture(scope="module")
def server():
    """A server that tests may pause."""
    with PostgresServer() as own:
        yield own


@pytest.fixture
def slow(server):
    """Make a database, open it with little patience, and make its books slow to read; takes the seconds."""
    opened = []

    def make(seconds: float) -> Database:
        name = server.create_database()
        url = server.url(name)
        migrate(url, password_file=server.password_file)
        with server.connect(name) as connection:
            connection.execute("ALTER TABLE books RENAME TO rows_of_books")
            connection.execute(
                "CREATE VIEW books AS SELECT rows_of_books.* FROM pg_sleep("
                f"{seconds}) LEFT JOIN rows_of_books ON true"
            )
            connection.execute("GRANT SELECT ON books TO shop")
        opened.append(
            Database.open(url, password_file=server.password_file, connect_seconds=1, statement_seconds=0.5)
        )
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_a_slow_statement_of_a_call_is_given_up_and_others_go_on(slow):
    database = slow(30)
    with pytest.raises(Unavailable), database.reading() as reading:
        reading.books_of([1])
    assert all(database.record([read("a")])), "a slow statement does not mean that the server is away"


def test_counting_and_streaming_may_take_longer_than_a_statement(slow):
    database = slow(1.5)
    with database.reading() as reading:
        assert reading.book_count() == 1
        assert len(list(reading.interactions())) == 0


@pytest.mark.parametrize("patient", [True, False])
def test_a_server_that_hangs_in_the_middle_is_noticed_whatever_the_patience(slow, server, patient):
    database = slow(60)

    def count() -> int:
        with database.reading(patient=patient) as reading:
            return reading.book_count()

    with ThreadPoolExecutor(1) as thread:
        counting = thread.submit(count)
        with server.connect() as connection:
            wait_until(lambda: connection.execute(IN_USE).fetchone() != (0,))
        server.pause()
        try:
            with pytest.raises(Unavailable):
                counting.result(timeout=30)
        finally:
            server.resume()


def test_news_may_take_longer_to_learn_than_a_statement(server):
    """Else who was cut off for long would start over at every look."""
    name = server.create_database()
    migrate(server.url(name), password_file=server.password_file)
    with Database.open(
        server.url(name), password_file=server.password_file, statement_seconds=0.5
    ) as database:
        with database.reading() as reading:
            mark = reading.mark
        with database.bulk() as bulk:
            bulk.add_interactions([(f"i{n}", n, 1, 4, None, 1, "") for n in range(1, 40_002)])
        learned = 0
        with database.reading() as reading:
            for lot in reading.news(mark).interactions():
                learned += len(lot.sequences)
                threading.Event().wait(0.7)  # what the learner does with it
        assert learned == 40_001
