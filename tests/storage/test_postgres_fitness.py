"""PostgreSQL that is reached and cannot be used as it is, or only with the right options in its URL."""

import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from service.domain.errors import Unavailable
from service.storage import Database, DatabaseAway, StorageError, migrate
from tests.storage.rows import book, read
from tests.tools import wait_until


def refusal(url: str, action: object = Database.open, **options: object) -> StorageError:
    with pytest.raises(StorageError) as caught:
        action(url, connect_seconds=1, **options)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://shop@host:99x/shop", "99x"),
        ("postgresql://shop@host:70000/shop", "70000"),
        ("postgresql://host/shop?colour=red", 'query parameter: "colour"'),
        ("postgresql://ada:geheim@[::1/shop", "IPv6"),
        ("postgresql://ada:geheim%zz@host/shop", "percent"),
        ("postgresql://ada@host/shop?sslmode=require&geheim", "separator"),
        ("mysql://ada:geheim@host:99x/shop", "cannot be read"),
        ("postgres://ada:geheim@host/shop", "begins with postgres:"),
    ],
)
def test_url_that_cannot_be_read_is_refused_without_its_password(url, words):
    error = refusal(url)
    assert not isinstance(error, DatabaseAway)
    assert words in str(error)
    assert "geheim" not in str(error)


def test_several_hosts_need_no_ports_and_are_all_named():
    error = refusal("postgresql://shop@one.invalid,two.invalid:6543/books")
    assert isinstance(error, DatabaseAway)
    assert "database books at one.invalid:5432, two.invalid:6543 cannot be reached" in str(error)


def test_other_encoding_than_utf8_is_refused(postgres):
    with postgres.connect() as connection:
        connection.execute("CREATE DATABASE ascii ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0")
    error = refusal(postgres.url("ascii"), password_file=postgres.password_file)
    assert "has the encoding SQL_ASCII; UTF8 is needed" in str(error)


@contextmanager
def server_that_says(**parameters: str) -> Iterator[int]:
    """Listen as a PostgreSQL server that lets everybody in; yields its port."""

    def message(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack(">i", len(content) + 4) + content

    hello = message(b"R", struct.pack(">i", 0))
    for name, value in parameters.items():
        hello += message(b"S", f"{name}\0{value}\0".encode())
    hello += message(b"Z", b"I")

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):  # the listener is closed in the end
                while True:
                    connection, _address = listener.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(hello)
                        while connection.recv(1000):
                            pass

        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]


def test_older_server_is_refused():
    with server_that_says(server_version="12.22", server_encoding="UTF8", client_encoding="UTF8") as port:
        error = refusal(f"postgresql://shop@127.0.0.1:{port}/shop?sslmode=disable&gssencmode=disable")
    assert "is PostgreSQL 12; 13 or newer is needed" in str(error)


def test_server_that_hangs_once_it_has_let_us_in_is_away():
    """The time for connecting is over by then, and no statement of the caller's has begun."""
    with server_that_says(server_version="15.1", server_encoding="UTF8", client_encoding="UTF8") as port:
        error = refusal(f"postgresql://shop@127.0.0.1:{port}/shop?sslmode=disable&gssencmode=disable")
    assert isinstance(error, DatabaseAway)


def test_read_only_database_is_read_and_says_so_to_writers_until_it_is_writable(postgres, migrated, caplog):
    name = postgres.create_database(migrated)
    url, password_file = postgres.url(name), postgres.password_file
    with Database.open(url, password_file=password_file) as database:
        database.upsert_books([book(1)])
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with Database.open(url, password_file=password_file) as database:
        for _ in range(3):
            with pytest.raises(Unavailable):
                database.record([read("a")])
            assert list(database.books()) == [book(1)]
        assert caplog.text.count("is read-only, perhaps a standby") == 1
        with postgres.connect() as connection:
            connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        with pytest.raises(Unavailable):
            database.record([read("a")])  # by a connection that began before; it is given up now
        assert all(database.record([read("a")]))


def test_a_user_who_may_make_no_tables_cannot_migrate(postgres):
    name = postgres.create_database()
    with postgres.connect(name) as connection:
        connection.execute(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO postgres"
        )
    error = refusal(postgres.url(name), migrate, password_file=postgres.password_file)
    assert "refuses this user a right" in str(error)
    assert not isinstance(error, DatabaseAway)
    with postgres.connect(name) as connection:
        assert connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'").fetchall() == []


def test_read_only_database_cannot_be_migrated(postgres):
    name = postgres.create_database()
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    error = refusal(postgres.url(name), migrate, password_file=postgres.password_file)
    assert "is read-only, perhaps a standby" in str(error)
    assert not isinstance(error, DatabaseAway)


def test_password_file_that_is_gone_for_a_moment_makes_no_more_than_unavailable(postgres, migrated, tmp_path):
    name = postgres.create_database(migrated)
    password = Path(shutil.copy(postgres.password_file, tmp_path / "password"))
    with Database.open(postgres.url(name), password_file=password) as database:
        away = password.rename(tmp_path / "away")
        with postgres.connect(name) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'recommendations' AND datname = current_database()"
            )
        with pytest.raises(Unavailable):
            database.record([read("a")])
        away.rename(password)

        def is_stored() -> bool:
            with suppress(Unavailable):
                return bool(database.record([read("a")]))
            return False

        wait_until(is_stored)


def test_text_that_the_server_cannot_hold_is_no_trouble_of_the_database(postgres, migrated, caplog):
    name = postgres.create_database(migrated)
    with Database.open(postgres.url(name), password_file=postgres.password_file) as database:
        with pytest.raises(DBAPIError, match="0x00"):
            database.record([read("good"), read("b\0d")])
        assert all(database.record([read("good")]))
    assert caplog.text == ""


def test_rows_restored_from_a_dump_are_adopted_by_migrating(postgres, migrated):
    """They bear numbers of another server's transactions: each look would find them new."""
    name = postgres.create_database(migrated)
    url, password_file = postgres.url(name), postgres.password_file
    with Database.open(url, password_file=password_file) as database:
        database.record([read("a", reader=5)])
        database.forget_reader(6)
    with postgres.connect(name) as connection:
        connection.execute("UPDATE interactions SET transaction_id = '99999999'")
        connection.execute("UPDATE changes SET transaction_id = '99999998'")
        connection.execute("UPDATE instance SET changes_pruned = 99999997")
    assert "run `recommendations migrate`" in str(refusal(url, password_file=password_file))
    migrate(url, password_file=password_file)
    with Database.open(url, password_file=password_file) as database:
        assert database.interactions().reader_ids.tolist() == [5]
        with database.reading() as reading:
            mark = reading.mark
        database.record([read("b", reader=7)])
        with database.reading() as reading:
            news = reading.news(mark)
            assert [lot.log.reader_ids.tolist() for lot in news.interactions()] == [[7]]
            assert (news.forgotten_reader_ids, news.changed_book_ids) == ([], [])
