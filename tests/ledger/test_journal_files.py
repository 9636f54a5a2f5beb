"""What a process leaves in its journal's file when it dies, and what the next one makes of it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.journal import Journal
from service.journal_records import JournalError
from tests.ledger.conftest import MEBIBYTE
from tests.storage.rows import read
from tests.tools import small_disk

DATABASE = "0b8f9d1e-0000-4000-8000-000000000001"


def adopted(directory, database: str = DATABASE) -> list[str]:
    """Return what a new process finds in the directory."""
    found: list[str] = []
    with Journal(directory, database, MEBIBYTE) as journal:
        journal.adopt(
            lambda lot: found.extend(each.interaction_id for record in lot for each in record.interactions)
        )
    return found


def left_behind(directory, names: Sequence[str], groups: int = 1) -> Path:
    """Leave a journal as a process leaves it that is killed; return its file."""
    with Journal(directory, DATABASE, MEBIBYTE) as journal:
        for _ in range(groups):
            journal.append([read(name) for name in names])
            names = [f"{name}+" for name in names]
    return only_file(directory)


def only_file(directory) -> Path:
    (path,) = directory.iterdir()
    return path


# Appends one group after the other, and says so of each once it is acknowledged.
_APPENDING = """
import itertools, os, sys
from pathlib import Path
from service.domain.errors import Unavailable
from service.journal import Journal
from tests.storage.rows import read
journal = Journal(Path(sys.argv[1]), sys.argv[2], 1 << 30).__enter__()
refused = 0
for number in itertools.count():
    names = [f"{number}-{n}" for n in range(100)]
    try:
        journal.append([read(name) for name in names])
    except Unavailable as error:
        print("refused", error, flush=True)
        refused += 1
        if refused == 3:
            break
    else:
        print(*names, flush=True)
print("held", journal.size_bytes, os.stat(next(Path(sys.argv[1]).iterdir())).st_size, flush=True)
journal.append([read("one-more")])
print("one-more", flush=True)
journal.take(lambda lot: print("taken", sum(len(record.interactions) for record in lot), flush=True))
"""


def test_what_a_killed_process_acknowledged_is_found_by_the_next(directory):
    command = [sys.executable, "-c", _APPENDING, directory, DATABASE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline() for _ in range(50)]
        process.kill()
        said += process.stdout.readlines()
    acknowledged = [name for line in said if line.endswith("\n") for name in line.split()]
    assert len(acknowledged) >= 5_000
    found = adopted(directory)
    # What was on the disk already, but not said yet, may be there too.
    assert found[: len(acknowledged)] == acknowledged
    assert list(directory.iterdir()) == []


def test_a_full_disk_refuses_and_leaves_nothing_half_written(directory):
    command = [*small_disk(directory, 1), sys.executable, "-c", _APPENDING, directory, DATABASE]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = process.stdout.splitlines()
    groups = [line for line in said if line.startswith(tuple("0123456789"))]
    refusals = [line for line in said if line.startswith("refused")]
    assert refusals == ["refused the database is away and the journal cannot be written"] * 3
    assert len(groups) > 10
    (held,) = [line.split()[1:] for line in said if line.startswith("held")]
    assert held[0] == held[1]  # no byte of what was refused
    # A smaller group still had room, and all of what was acknowledged is handed on.
    assert "one-more" in said, process.stderr
    taken = [int(line.split()[1]) for line in said if line.startswith("taken")]
    assert taken == [min(5_000, 100 * len(groups) + 1)]


def test_the_journal_of_a_process_that_lives_is_left_to_it(directory):
    with Journal(directory, DATABASE, MEBIBYTE) as journal:
        journal.append([read("a")])
        assert adopted(directory) == []
        assert not journal.is_empty


def test_journals_of_several_processes_are_taken_over_in_the_order_of_their_beginnings(directory):
    for name in ("a", "b", "c"):
        with Journal(directory, DATABASE, MEBIBYTE) as journal:
            journal.append([read(name)])
    assert adopted(directory) == ["a", "b", "c"]


def test_every_group_bears_the_mark_up_to_which_the_database_was_known(directory):
    with Journal(directory, DATABASE, MEBIBYTE) as journal:
        for mark in ("1:0", "2:0"):
            journal.mark = mark
            journal.append([read(f"at-{mark}")])
        marks: list[str] = []
        journal.take(lambda lot: marks.extend(record.mark for record in lot))
    assert marks == ["1:0", "2:0"]


def test_a_torn_end_is_passed_over(directory, caplog):
    path = left_behind(directory, ["a", "b"], groups=3)
    path.write_bytes(path.read_bytes()[:-5])
    assert adopted(directory) == ["a", "b", "a+", "b+"]
    assert "torn end" in caplog.text
    assert list(directory.iterdir()) == []


def test_an_end_of_which_only_the_length_reached_the_disk_is_passed_over(directory):
    path = left_behind(directory, ["a", "b"])
    path.write_bytes(path.read_bytes() + bytes(4096))
    assert adopted(directory) == ["a", "b"]
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("kept", ["nothing", "zeros", "half its header", "its header", "half a record"])
def test_a_process_killed_at_its_first_record_leaves_nothing(directory, kept):
    path = left_behind(directory, ["a"])
    content = path.read_bytes()
    header = content.index(b"\n") + 1
    left = {
        "nothing": b"",
        "zeros": bytes(4096),
        "half its header": content[: header // 2],
        "its header": content[:header],
        "half a record": content[: header + 30],
    }
    path.write_bytes(left[kept])
    assert adopted(directory) == []
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("record", [0, 1, 2])
def test_a_flipped_bit_costs_its_record_alone_and_the_file_stays(directory, caplog, record):
    names = ["aaa", "bbb"]
    path = left_behind(directory, names, groups=3)
    plus = "+" * record
    content = bytearray(path.read_bytes())
    content[content.index(f'"bbb{plus}"'.encode()) + 1] ^= 1
    path.write_bytes(content)
    whole = [f"{name}{'+' * number}" for number in range(3) if number != record for name in names]
    assert adopted(directory) == whole
    assert "1 records are broken" in caplog.text
    assert only_file(directory).suffix == ".broken"
    assert adopted(directory) == []


def test_no_flipped_bit_is_taken_for_something_else(directory):
    """Wherever it is, each record is handed on as it was written or not at all, and what is lost is kept."""
    path = left_behind(directory, ["aaa"], groups=3)
    content = path.read_bytes()
    for place in range(content.index(b"\n") + 1, len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        found = adopted(directory)
        assert set(found) <= {"aaa", "aaa+", "aaa++"}
        # One end of line too few makes one broken line of two; the very last one is not needed.
        is_end = content[place : place + 1] == b"\n"
        assert len(found) == (3 if place == len(content) - 1 else 1 if is_end else 2)
        for left in directory.iterdir():
            assert left.suffix == ".broken"
            left.unlink()


def test_a_live_process_keeps_its_file_where_a_record_is_broken(directory, caplog):
    with Journal(directory, DATABASE, MEBIBYTE) as journal:
        journal.append([read("aaa")])
        journal.append([read("bbb")])
        path = only_file(directory)
        content = path.read_bytes()
        place = content.index(b"aaa")
        with path.open("r+b") as file:
            file.seek(place)
            file.write(bytes([content[place] ^ 1]))
        found: list[str] = []
        journal.take(
            lambda lot: found.extend(each.interaction_id for record in lot for each in record.interactions)
        )
        assert journal.is_empty
    assert found == ["bbb"]
    assert only_file(directory).suffix == ".broken"


def test_the_journal_of_another_database_is_refused_and_left_alone(directory):
    left_behind(directory, ["a"])
    other = DATABASE.replace("0001", "0002")
    with pytest.raises(JournalError, match=f"is of the database {DATABASE}, not of {other}"):
        adopted(directory, other)
    assert adopted(directory) == ["a"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello\n", "is not a journal"),
        (b"hello", "is not a journal"),
        (b"[]\n", "is not a journal"),
        (json.dumps({"format": "recommendations journal", "format_version": 99}).encode(), "version 99"),
    ],
)
def test_a_file_that_is_no_journal_of_ours_is_refused_and_left_alone(directory, content, said):
    directory.mkdir()
    path = directory / "1.journal"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=rf"1\.journal: .*{said}"):
        adopted(directory)
    assert path.read_bytes() == content


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(JournalError, match=str(blocked)), Journal(blocked, DATABASE, MEBIBYTE):
        pass
