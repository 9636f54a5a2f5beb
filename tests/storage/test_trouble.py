"""A database that cannot be written for now says so, loses nothing, and works again afterwards."""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import alembic.command  # noqa: F401  # before root's rights are given up: they may be needed to read it
import pytest
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from service.domain.errors import Unavailable
from service.storage import Database, StorageError, migrate
from tests.storage.rows import book, read
from tests.tools import NOBODY, ordinary_rights


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an ordinary user reaches, which pytest's own is not for root's tests."""
    made = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    yield made
    made.chmod(0o700)
    shutil.rmtree(made)


@pytest.fixture
def filled(folder: Path) -> str:
    """The URL of a database with a book in it, which an ordinary user owns."""
    url = f"sqlite:///{folder}/shop.db"
    with ordinary_rights():
        migrate(url)
        with Database.open(url) as database:
            database.upsert_books([book(1)])
    return url


def test_read_only_file_can_be_read_and_refuses_writes_as_unavailable(filled, folder, caplog):
    (folder / "shop.db").chmod(0o444)
    with ordinary_rights(), Database.open(filled) as database:
        assert list(database.books()) == [book(1)]
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                database.record([read("a")])
        assert caught.value.retry_seconds > 0
        assert str(folder) not in str(caught.value)
        assert list(database.books()) == [book(1)]
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert len(told) == 1, "the same trouble is told once"
    assert f"{folder}/shop.db is read-only" in told[0]


def test_read_only_folder_can_be_read_and_refuses_writes_as_unavailable(filled, folder):
    (folder / "shop.db").chmod(0o444)
    folder.chmod(0o555)
    with ordinary_rights(), Database.open(filled) as database:
        assert list(database.books()) == [book(1)]
        with pytest.raises(Unavailable):
            database.record([read("a")])


def test_unreadable_file_is_refused_at_opening(filled, folder):
    (folder / "shop.db").chmod(0)
    with (
        ordinary_rights(),
        pytest.raises(StorageError, match=r"shop\.db cannot be opened; look at the rights"),
    ):
        Database.open(filled)


def test_full_disk_keeps_what_was_acknowledged_and_passes(url, caplog):
    """SQLite's own page limit stands in for the disk: it fails in the same place with the same code."""
    connections: list[sqlite3.Connection] = []

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connections.append(connection)
        connection.execute("PRAGMA max_page_count=40")

    event.listen(QueuePool, "connect", limit)
    try:
        with Database.open(url) as database:
            stored = 0
            with pytest.raises(Unavailable):  # noqa: PT012 - which batch is the first to fail is SQLite's affair
                for number in range(1000):
                    database.record([read(f"{number}-{each}") for each in range(100)])
                    stored += 100
            assert stored
            assert database.counts().interactions == stored, "half a batch is there, or too little"
            assert "no space left on its disk" in caplog.text
            for connection in connections:
                with suppress(sqlite3.ProgrammingError):  # closed by now
                    connection.execute("PRAGMA max_page_count=4000")
            assert all(database.record([read(f"later-{each}") for each in range(100)]))
            assert len(database.interactions()) == stored + 100
    finally:
        event.remove(QueuePool, "connect", limit)


def test_other_writer_makes_writes_unavailable_and_reads_go_on(sqlite_database, path, monkeypatch):
    database = sqlite_database
    database.upsert_books([book(1)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as caught:
        database.record([read("a")])
    assert caught.value.retry_seconds == 1.0
    assert list(database.books()) == [book(1)]
    other.execute("ROLLBACK")
    other.close()
    assert all(database.record([read("a")]))


def test_import_in_this_process_makes_other_writes_unavailable(database, monkeypatch):
    monkeypatch.setattr(database._product, "statement_seconds", 0.05)
    with database.bulk() as bulk:
        bulk.add_books([book(1)])
        with pytest.raises(Unavailable):
            database.record([read("a")])
        assert list(database.books()) == []
    assert all(database.record([read("a")]))


@pytest.mark.parametrize("replacement", ["removed", "replaced"])
def test_file_taken_away_under_the_service_takes_no_more_writes(sqlite_database, path, replacement, caplog):
    database = sqlite_database
    """They would go to a file that no one finds again."""
    database.record([read("a")])
    moved = path.rename(path.with_name("elsewhere.db"))
    if replacement == "replaced":
        shutil.copy(moved, path)
    with pytest.raises(Unavailable):
        database.record([read("b")])
    assert "restart the service" in caplog.text


def test_damage_found_by_a_write_is_no_passing_trouble(url, path):
    with Database.open(url) as database, database.bulk() as bulk:
        bulk.add_interactions([(f"i{n}", 1, 1, 4, None, 1, "") for n in range(20_000)])
    content = bytearray(path.read_bytes())
    for start in range(122_880, len(content), 4096):
        content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)
    with Database.open(url) as database, pytest.raises(StorageError, match="is damaged"):
        database.record([read(f"j{n}") for n in range(1000)])
