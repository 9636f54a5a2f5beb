"""One transaction for many rows: all of it or nothing, also when the process is killed."""

import signal
import sqlite3
import subprocess
import sys

import pytest

from service.storage import Database
from tests.storage.rows import book, read

ROW = ("i1", 1, 1, 4, None, 1, "")


def test_rows_are_stored_with_their_counts(database):
    database.upsert_books([book(1)])
    database.record([read("known")])
    with database.bulk() as bulk:
        assert bulk.book_ids() == {1}
        assert bulk.add_books([book(1), book(2)]) == (1, 1)
        assert bulk.add_interactions([ROW, ("known", *ROW[1:]), ROW]) == 1
        assert bulk.add_interactions([ROW, ("i2", 7, 2, 5, 3.5, 9, "origin")]) == 1
    assert database.counts() == (2, 3)
    assert database.interactions().ratings.tolist()[-1] == 3.5
    assert database.forget_reader(7) == 1


def test_error_in_the_block_undoes_everything(database):
    database.upsert_books([book(1)])
    with pytest.raises(ValueError, match="enough"), database.bulk() as bulk:  # noqa: PT012
        bulk.add_books([book(2)])
        bulk.add_interactions([ROW])
        raise ValueError("enough")
    assert database.counts() == (1, 0)
    assert database.record([read("a")]) == [True]


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_index_by_reader_is_there_afterwards(database, path, ends_well):
    try:
        with database.bulk() as bulk:
            bulk.add_interactions([ROW])
            if not ends_well:
                raise ValueError
    except ValueError:
        pass
    indexes = sqlite3.connect(path).execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
    assert ("interactions_by_reader",) in indexes


KILLED = """
import sys
from service.storage import Database
database = Database.open(sys.argv[1])
with database.bulk() as bulk:
    for lot in range(200):
        bulk.add_interactions([(f"{lot}-{n}", 1, 1, 4, None, 1, "") for n in range(1000)])
        if lot == 150:
            print("under way", flush=True)
            sys.stdin.read()
"""


def test_killed_in_the_middle_leaves_the_old_content(url):
    with Database.open(url) as database:
        database.record([read("old")])
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "under way\n"
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    with Database.open(url) as database:
        assert database.counts().interactions == 1
        assert database.record([read("new")]) == [True]
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
