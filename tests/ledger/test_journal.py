"""While the database is away interactions last in a journal, and reach it in order, each once."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from service.domain.errors import Unavailable
from service.domain.interactions import Interaction
from service.domain.recommender import Recommender
from service.journal import Journal, JournalError
from service.ledger import Ledger
from tests.domain.shop import book, log_of
from tests.storage.rows import read

DATABASE = "0b8f9d1e-0000-4000-8000-000000000001"
MEBIBYTE = 1 << 20


class Store:
    """A database that can be away, and remembers what it was given, in order."""

    def __init__(self) -> None:
        self.is_away = False
        self.stored: list[str] = []

    def record(self, interactions: Sequence[Interaction]) -> list[int]:
        if self.is_away:
            raise Unavailable("away", 1.0)
        sequences = []
        for each in interactions:
            if each.interaction_id in self.stored:
                sequences.append(0)
            else:
                self.stored.append(each.interaction_id)
                sequences.append(len(self.stored))
        return sequences

    def forget_reader(self, reader_id: int) -> int:
        return 0


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal", DATABASE, MEBIBYTE) as opened:
        yield opened


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def ledger(store, journal):
    return Ledger(store, Recommender.of([book(1), book(2)], log_of()), journal)


def adopted(directory, database: str = DATABASE) -> list[str]:
    """Return what a new process finds in the directory."""
    found = Store()
    with Journal(directory, database, MEBIBYTE) as journal:
        journal.adopt(found.record)
    return found.stored


def left_behind(directory, names: Sequence[str], groups: int = 1) -> None:
    """Leave a journal as a process leaves it that is killed."""
    journal = Journal(directory, DATABASE, MEBIBYTE).__enter__()
    for _ in range(groups):
        journal.append([read(name) for name in names])
        names = [f"{name}+" for name in names]
    journal.__exit__()


def only_file(directory):
    (path,) = directory.iterdir()
    return path


def test_nothing_is_written_while_the_database_answers(ledger, store, journal, tmp_path):
    assert ledger.record([read("a")]) == 1
    assert store.stored == ["a"]
    assert list((tmp_path / "journal").iterdir()) == []


def test_interactions_are_acknowledged_and_stored_in_order_when_it_is_back(ledger, store, journal):
    ledger.record([read("a")])
    store.is_away = True
    assert ledger.record([read("b"), read("c")]) == 2
    assert ledger.record([read("c"), read("d"), read("d")]) == 1
    assert ledger.journaled_count == 3
    # It is back, but nobody has noticed yet: what is new goes behind what waits.
    store.is_away = False
    assert ledger.record([read("e")]) == 1
    assert store.stored == ["a"]
    ledger.database_is(away=False)
    assert store.stored == ["a", "b", "c", "d", "e"]
    assert ledger.replayed_count == 4
    assert journal.is_empty
    assert ledger.record([read("f")]) == 1
    assert store.stored[-1] == "f"


def test_what_was_stored_although_the_answer_was_lost_is_stored_once(ledger, store):
    store.stored.append("a")
    store.is_away = True
    assert ledger.record([read("a")]) == 1
    store.is_away = False
    ledger.database_is(away=False)
    assert store.stored == ["a"]


def test_a_database_that_goes_away_again_while_it_catches_up_loses_nothing(ledger, store, journal):
    store.is_away = True
    ledger.record([read("a")])
    ledger.record([read("b")])
    with pytest.raises(Unavailable):
        ledger.database_is(away=False)
    assert not journal.is_empty
    store.is_away = False
    ledger.database_is(away=False)
    assert store.stored == ["a", "b"]


def test_a_reader_cannot_be_forgotten_before_what_the_journal_holds_of_them(ledger, store, journal):
    store.is_away = True
    ledger.record([read("a")])
    store.is_away = False
    with pytest.raises(Unavailable):
        ledger.forget_reader(1)
    ledger.database_is(away=False)
    assert ledger.forget_reader(1) == 0


def test_read_your_writes_holds_while_it_is_away(ledger, store):
    store.is_away = True
    ledger.record([read("a", reader=77)])
    assert len(ledger._recommender._shelves.histories.of(77)) == 1


def test_a_full_journal_refuses_and_keeps_what_it_has(tmp_path, store):
    with Journal(tmp_path / "journal", DATABASE, 2000) as journal:
        ledger = Ledger(store, Recommender.of([book(1)], log_of()), journal)
        store.is_away = True
        assert ledger.record([read("a")]) == 1
        with pytest.raises(Unavailable, match="journal is full"):
            ledger.record([read(f"b-{n}") for n in range(100)])
        assert ledger.record([read("c")]) == 1
        store.is_away = False
        ledger.database_is(away=False)
    assert store.stored == ["a", "c"]


def test_a_full_disk_refuses_and_leaves_nothing_half_written(tmp_path, store):
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
    try:
        with Journal(small / "journal", DATABASE, MEBIBYTE) as journal:
            store.is_away = True
            ledger = Ledger(store, Recommender.of([book(1)], log_of()), journal)
            assert ledger.record([read("a")]) == 1
            with pytest.raises(Unavailable, match="cannot be written"):
                ledger.record([read(f"b-{n}") for n in range(5000)])
            assert ledger.record([read("c")]) == 1
            store.is_away = False
            ledger.database_is(away=False)
            assert store.stored == ["a", "c"]
    finally:
        subprocess.run(["umount", small], check=True)


def test_what_a_killed_process_acknowledged_is_found_by_the_next(tmp_path):
    script = """
import os, signal, sys
from pathlib import Path
from service.journal import Journal
from tests.storage.rows import read
journal = Journal(Path(sys.argv[1]), sys.argv[2], 1 << 20).__enter__()
for number in range(100):
    journal.append([read(f"i{number}")])
    print(number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    directory = tmp_path / "journal"
    said = subprocess.run(
        [sys.executable, "-c", script, directory, DATABASE], capture_output=True, text=True, check=False
    )
    acknowledged = [f"i{line}" for line in said.stdout.split()]
    assert len(acknowledged) == 100
    assert adopted(directory) == acknowledged
    assert list(directory.iterdir()) == []


def test_the_journal_of_a_process_that_lives_is_left_to_it(journal, tmp_path):
    journal.append([read("a")])
    assert adopted(tmp_path / "journal") == []
    assert not journal.is_empty


def test_a_torn_end_is_passed_over(tmp_path, caplog):
    left_behind(tmp_path, ["a", "b"], groups=3)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    assert adopted(tmp_path) == ["a", "b", "a+", "b+"]
    assert "torn end" in caplog.text


@pytest.mark.parametrize("kept_bytes", [0, 1, 60])
def test_a_process_killed_at_its_first_record_leaves_nothing(tmp_path, kept_bytes):
    left_behind(tmp_path, ["a"])
    path = only_file(tmp_path)
    content = path.read_bytes()
    header = content.index(b"\n") + 1
    path.write_bytes(content[: min(kept_bytes, 1) * header + kept_bytes // 10])
    assert adopted(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_costs_its_record_alone_and_the_file_stays(tmp_path, caplog):
    left_behind(tmp_path, ["aaa", "bbb"], groups=3)
    path = only_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"bbb+") + 1] ^= 1
    path.write_bytes(content)
    assert adopted(tmp_path) == ["aaa", "bbb", "aaa++", "bbb++"]
    assert "1 records inside are broken" in caplog.text
    assert only_file(tmp_path).suffix == ".broken"
    assert adopted(tmp_path) == []


def test_the_journal_of_another_database_is_refused_and_left_alone(tmp_path):
    left_behind(tmp_path, ["a"])
    other = DATABASE.replace("0001", "0002")
    with pytest.raises(JournalError, match=f"is of the database {DATABASE}, not of {other}"):
        adopted(tmp_path, other)
    assert adopted(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "content", [b"hello\n", b"[]\n", b'{"format": "recommendations journal", "format_version": 99}\n']
)
def test_a_file_that_is_no_journal_of_ours_is_refused(tmp_path, content):
    (tmp_path / "1.journal").write_bytes(content)
    with pytest.raises(JournalError, match=r"1\.journal"):
        adopted(tmp_path)


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(JournalError, match=str(blocked)), Journal(blocked, DATABASE, MEBIBYTE):
        pass
