"""One transaction for many rows: all of it or nothing, also when the process is killed."""

import signal
import sqlite3
import subprocess
import sys

import pytest

from service.storage import Database
from service.storage.exported_rows import interaction_rows
from tests.storage.rows import book, read

ROW = ("i1", 1, 1, 4, None, 1, "")


def test_rows_are_stored_with_their_counts(database):
    database.upsert_books([book(1)])
    database.record([read("known")])
    with database.bulk() as bulk:
        assert bulk.book_ids() == {1}
        assert bulk.add_books([book(1), book(2)]) == (1, 1)
        bulk.add_interactions([ROW, ("known", *ROW[1:]), ROW])
        bulk.add_interactions([ROW, ("i2", 7, 2, 5, 3.5, 9, "origin")])
        assert bulk.finish_interactions() == 2
        bulk.add_interactions([ROW])
        assert bulk.finish_interactions() == 0
    assert database.counts() == (2, 3)
    assert database.interactions().ratings.tolist()[-1] == 3.5
    assert database.forget_reader(7) == 1


ODD_IDS = [
    "null",
    "NULL",
    "None",
    "\\.",
    "\\N",
    "\\",
    '"',
    '""',
    "'",
    ",",
    "],[",
    '","',
    "\\n",
    "{}",
    "x" * 64,
]


@pytest.mark.parametrize("has_rows", [False, True])
def test_ids_of_odd_characters_are_stored_as_they_are_and_in_order(database, has_rows):
    if has_rows:
        database.record([read("first")])
    rows = [(name, 1, 1, 5, 2.5, 10**15 + place, name) for place, name in enumerate(ODD_IDS)]
    with database.bulk() as bulk:
        bulk.add_interactions(rows)
        assert bulk.finish_interactions() == len(rows)
    with database.reading() as reading:
        assert [row for lot in interaction_rows(reading) for row in lot][has_rows:] == rows


@pytest.mark.parametrize("has_rows", [False, True])
def test_of_equal_ids_the_first_is_stored(database, has_rows):
    if has_rows:
        database.record([read("0")])
    rows = [(str(n % 1000), n, 1, 4, None, 1, "") for n in range(3000)]
    with database.bulk() as bulk:
        for start in range(0, 3000, 700):
            bulk.add_interactions(rows[start : start + 700])
        assert bulk.finish_interactions() == 1000 - has_rows
    assert database.interactions().reader_ids.tolist() == [1] * has_rows + list(range(has_rows, 1000))


def index_definitions(server, name: str) -> list[tuple]:
    with server.connect(name) as connection:
        return connection.execute(
            "SELECT pg_get_indexdef(indexrelid), indisvalid, conname FROM pg_index"
            " LEFT JOIN pg_constraint ON conindid = indexrelid"
            " WHERE indrelid = 'interactions'::regclass ORDER BY 1"
        ).fetchall()


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_indexes_of_an_empty_table_are_the_same_afterwards(postgres, migrated, ends_well):
    name = postgres.create_database(migrated)
    before = index_definitions(postgres, name)
    assert len(before) == 4
    with Database.open(postgres.url(name), password_file=postgres.password_file) as database:
        try:
            with database.bulk() as bulk:
                bulk.add_interactions([ROW, ROW])
                if not ends_well:
                    raise ValueError
        except ValueError:
            pass
        assert index_definitions(postgres, name) == before
        assert database.counts().interactions == ends_well


def test_rows_come_in_while_somebody_reads_the_empty_table(postgres, migrated):
    name = postgres.create_database(migrated)
    with (
        Database.open(postgres.url(name), password_file=postgres.password_file) as database,
        database.reading() as reading,
    ):
        assert reading.interaction_count() == 0
        with database.bulk() as bulk:
            bulk.add_interactions([ROW, ROW])
            assert bulk.finish_interactions() == 1
        assert reading.interaction_count() == 0
        assert database.counts().interactions == 1


def test_a_role_that_may_only_write_can_import(postgres, migrated):
    name = postgres.create_database(migrated)
    with postgres.connect(name) as connection:
        connection.execute("REASSIGN OWNED BY shop TO postgres")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO shop")
        connection.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO shop")
    with Database.open(postgres.url(name), password_file=postgres.password_file) as database:
        with database.bulk() as bulk:
            bulk.add_interactions([ROW])
        assert database.counts().interactions == 1


def test_error_in_the_block_undoes_everything(database):
    database.upsert_books([book(1)])
    with pytest.raises(ValueError, match="enough"), database.bulk() as bulk:  # noqa: PT012
        bulk.add_books([book(2)])
        bulk.add_interactions([ROW])
        raise ValueError("enough")
    assert database.counts() == (1, 0)
    assert all(database.record([read("a")]))


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_index_by_reader_is_there_afterwards(url, path, ends_well):
    try:
        with Database.open(url) as database, database.bulk() as bulk:
            bulk.add_interactions([ROW])
            if not ends_well:
                raise ValueError
    except ValueError:
        pass
    indexes = sqlite3.connect(path).execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
    assert ("interactions_by_reader",) in indexes


KILLED = """
import sys
from pathlib import Path
from service.storage import Database
database = Database.open(sys.argv[1], password_file=Path(sys.argv[2]) if sys.argv[2:] else None)
with database.bulk() as bulk:
    for lot in range(200):
        bulk.add_interactions([(f"{lot}-{n}", 1, 1, 4, None, 1, "") for n in range(1000)])
        if lot == 150:
            print("under way", flush=True)
            sys.stdin.read()
"""


def test_killed_in_the_middle_leaves_the_old_content(each_database):
    url, password_file = each_database
    with Database.open(url, password_file=password_file) as database:
        database.record([read("old")])
    arguments = [url, str(password_file)] if password_file else [url]
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "under way\n"
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    with Database.open(url, password_file=password_file) as database:
        assert database.counts().interactions == 1
        assert all(database.record([read("new")]))
        assert database.forget_reader(1) == 2


def test_acknowledged_batches_survive_a_kill(url):
    script = """
import sys
from service.storage import Database
from tests.storage.rows import read
database = Database.open(sys.argv[1])
for number in range(10_000):
    database.record([read(f"i{number}")])
    print(number, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True)
    acknowledged = [int(child.stdout.readline()) for _ in range(50)]
    child.kill()
    acknowledged += [int(line) for line in child.communicate(timeout=30)[0].splitlines() if line.strip()]
    with Database.open(url) as database:
        assert len(database.interactions()) >= len(acknowledged)
        assert not any(database.record([read(f"i{number}") for number in acknowledged]))
