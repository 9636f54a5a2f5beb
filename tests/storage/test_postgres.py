"""PostgreSQL that refuses, hangs or restarts, before and while it is used."""

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from service.domain.errors import Unavailable
from service.storage import Database, DatabaseAway, StorageError, availability, migrate
from tests.postgres import PostgresServer, free_port
from tests.storage.rows import read
from tests.tools import wait_until

DISCONNECT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'recommendations'"
)


@pytest.fixture(scope="module")
def server():
    """A server that tests may stop; each starts it again."""
    with PostgresServer() as own:
        yield own


@pytest.fixture
def shop(server):
    """An open database on it, with short patience."""
    name = server.create_database()
    migrate(server.url(name), password_file=server.password_file)
    with Database.open(
        server.url(name), password_file=server.password_file, connect_seconds=1, statement_seconds=1
    ) as database:
        yield database


def refusal(url: str, **options: object) -> StorageError:
    with pytest.raises(StorageError) as caught:
        Database.open(url, connect_seconds=1, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def test_wrong_password_says_which_setting_and_never_the_password(postgres, migrated, tmp_path):
    wrong = tmp_path / "password"
    wrong.write_text("geheim\n")
    error = refusal(postgres.url(migrated), password_file=wrong)
    assert not isinstance(error, DatabaseAway)
    assert "RECOMMENDATIONS_DATABASE_PASSWORD_FILE" in str(error)
    assert f"database {migrated} at 127.0.0.1:{postgres.port}" in str(error)
    assert "geheim" not in str(error)


def test_missing_password_file_is_named(postgres, migrated, tmp_path):
    error = refusal(postgres.url(migrated), password_file=tmp_path / "absent")
    assert str(tmp_path / "absent") in str(error)
    assert not isinstance(error, DatabaseAway)


@pytest.mark.parametrize(("content", "words"), [(b"\n", "is empty"), (b"\xff\xfe", "is not a text")])
def test_password_file_without_a_password_is_named(postgres, migrated, tmp_path, content, words):
    """An empty one would be sent as no password, and the server blamed for it."""
    file = tmp_path / "password"
    file.write_bytes(content)
    error = refusal(postgres.url(migrated), password_file=file)
    assert f"RECOMMENDATIONS_DATABASE_PASSWORD_FILE: {file}: {words}" in str(error)
    assert not isinstance(error, DatabaseAway)


def test_no_such_database(postgres):
    error = refusal(postgres.url("nowhere"), password_file=postgres.password_file)
    assert "has no such database" in str(error)


def test_a_user_without_rights_is_told(postgres, migrated):
    with postgres.connect() as connection:
        connection.execute(f"CREATE ROLE guest LOGIN PASSWORD '{postgres.password}'")
    error = refusal(postgres.url(migrated).replace("shop@", "guest@"), password_file=postgres.password_file)
    assert "refuses this user a right" in str(error)


def test_nobody_there_is_away_and_not_wrong():
    assert isinstance(refusal(f"postgresql://shop@127.0.0.1:{free_port()}/shop"), DatabaseAway)
    assert isinstance(refusal("postgresql://shop@nowhere.invalid/shop"), DatabaseAway)


def test_another_product_on_the_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):  # the listener is closed in the end
                while True:
                    connection, _address = listener.accept()
                    with connection:
                        connection.recv(100)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        port = listener.getsockname()[1]
        error = refusal(f"postgresql://shop@127.0.0.1:{port}/shop?sslmode=disable")
    assert "is not a PostgreSQL server" in str(error)


def test_tables_of_another_program_are_left_alone(postgres):
    name = postgres.create_database()
    with postgres.connect(name) as connection:
        connection.execute("CREATE TABLE notes (id int)")
        connection.execute("GRANT ALL ON SCHEMA public TO shop; GRANT SELECT ON notes TO shop")
    with pytest.raises(StorageError, match="belongs to another program"):
        migrate(postgres.url(name), password_file=postgres.password_file)


def test_a_new_password_takes_effect_without_a_restart(shop, server):
    with server.connect() as connection:
        connection.execute("ALTER ROLE shop PASSWORD 'another'")
        connection.execute(DISCONNECT)
    server.password_file.write_text("another\n")
    try:
        assert all(shop.record([read("a")]))
    finally:
        server.password_file.write_text(server.password + "\n")
        with server.connect() as connection:
            connection.execute(f"ALTER ROLE shop PASSWORD '{server.password}'")


def test_a_connection_that_the_server_closed_is_replaced_without_a_failed_write(shop, server):
    shop.record([read("a")])
    with server.connect() as connection:
        connection.execute(DISCONNECT)
    assert all(shop.record([read("b")]))


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_writes_are_unavailable_at_once_while_it_is_down_and_work_afterwards(shop, server, how, caplog):
    shop.record([read(f"before-{how}")])
    getattr(server, how)()
    try:
        with caplog.at_level(logging.ERROR), pytest.raises(Unavailable) as caught:
            shop.record([read(f"during-{how}")])
        assert caught.value.retry_seconds > 0
        assert "cannot be used right now" in caplog.text
        with pytest.raises(Unavailable), shop.reading():
            pass
    finally:
        server.start()
    written_once_back(shop, f"after-{how}")


def test_a_server_that_hangs_costs_one_caller_its_patience_and_the_others_nothing(shop, server, monkeypatch):
    monkeypatch.setattr(availability, "_PROBE_SECONDS", 3)
    shop.record([read("a")])
    server.pause()
    try:
        with pytest.raises(Unavailable):
            shop.record([read("b")])
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(Unavailable):
                shop.record([read("c")])
            with pytest.raises(Unavailable), shop.reading():
                pass
        assert time.monotonic() - began < 10, "40 calls waited, each a second and more"
    finally:
        server.resume()
    written_once_back(shop, "d")


def test_all_connections_that_a_restart_closed_are_replaced_without_a_failed_call(shop, server):
    with shop.reading() as one, shop.reading() as other, shop.reading() as third:
        assert [each.book_count() for each in (one, other, third)] == [0, 0, 0]
    server.stop()
    server.start()
    with shop.reading() as one, shop.reading() as other, shop.reading() as third:
        assert [each.book_count() for each in (one, other, third)] == [0, 0, 0]
    assert all(shop.record([read("a")]))


def test_a_victim_of_a_deadlock_is_repeated_and_nobody_hears_of_it(postgres, migrated, caplog):
    name = postgres.create_database(migrated)
    insert = (
        "INSERT INTO interactions (interaction_id, reader_id, book_id, type, occurred_at, recommendation_id)"
        " VALUES (%s, 1, 1, 4, 1, '')"
    )
    with (
        Database.open(
            postgres.url(name), password_file=postgres.password_file, statement_seconds=30
        ) as database,
        ThreadPoolExecutor(1) as thread,
        postgres.connect(name) as other,
        postgres.connect(name) as watcher,
    ):
        other.execute("SET deadlock_timeout = '1min'")  # so that it is not the one who gives way
        other.execute("BEGIN")
        other.execute(insert, ("second",))
        recording = thread.submit(database.record, [read("first"), read("second")])
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
        wait_until(lambda: watcher.execute(waiting, (name,)).fetchone() == (1,))
        other.execute(insert, ("first",))
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = %s"
        other.execute("ROLLBACK")
        assert all(recording.result(timeout=30))
        wait_until(lambda: watcher.execute(deadlocks, (name,)).fetchone() == (1,))
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


def written_once_back(shop: Database, name: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            assert all(shop.record([read(name)]))
            return
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_failover_to_a_standby_keeps_what_was_acknowledged(migrated, postgres):
    with PostgresServer() as primary, PostgresServer(primary) as standby:
        name = primary.create_database()
        with primary.connect() as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        url = primary.url(name, standby)
        migrate(url, password_file=primary.password_file)
        with Database.open(
            url, password_file=primary.password_file, connect_seconds=1, statement_seconds=2
        ) as shop:
            assert all(shop.record([read("a"), read("b")]))
            primary.kill()
            standby.promote()
            written_once_back(shop, "c")
            assert shop.counts().interactions == 3
