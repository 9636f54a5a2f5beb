"""Whatever is wrong with a mirror, the disk or the clock, a process comes to a sound mirror by itself."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from service import mirroring
from service.mirror import MirrorError, build, current_version
from service.mirroring import MirrorKeeper
from service.storage import Database, migrate
from tests.domain.shop import book, did
from tests.tools import small_disk, wait_until

HOUR_SECONDS = 3600
# Written anew about every second.
SOON_HOURS = 0.0003

_BUILD_SLOWLY = """
import sys, time
from pathlib import Path
from service.mirror import build, sole_builder
from tests.mirror.made_readings import MadeReading, small_reading

class Hangs(MadeReading):
    def interactions(self):
        yield from super().interactions()
        print("half", flush=True)
        sys.stdin.read()

directory = Path(sys.argv[1])
with sole_builder(directory):
    build(Hangs(small_reading().all_books, small_reading().log), directory, identity="a-database")
"""

_BUILD_UNTIL_THE_DISK_IS_FULL = """
import sys
from pathlib import Path
import numpy as np
from service.mirror import Mirror, MirrorError, build, current_version
from tests.mirror.made_readings import MadeReading, random_log, small_reading

directory = Path(sys.argv[1])
first = build(small_reading(), directory, identity="a-database")
log = random_log(np.random.default_rng(4), rows=int(sys.argv[2]), readers=200, books=4)
log.book_ids[:] *= 10
try:
    build(MadeReading(small_reading().all_books, log), directory, identity="a-database")
except MirrorError as error:
    print(error)
assert current_version(directory) == first, "the pointer moved"
assert sorted(path.name for path in directory.iterdir()) == sorted([first, "current"])
Mirror.open(directory, first, "a-database")
"""


@pytest.fixture
def database(tmp_path):
    url = f"sqlite:///{tmp_path}/recommendations.db"
    migrate(url)
    with Database.open(url) as database:
        database.upsert_books([book(number) for number in range(1, 6)])
        database.record([did(7, 1), did(8, 2), did(8, 3)])
        yield database


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture
def keeper(database, directory):
    """Make a keeper; its thread ends with the test."""
    keepers = []

    def make(hours: float = 24) -> MirrorKeeper:
        keepers.append(MirrorKeeper(database, directory, hours, kept_answers=0))
        return keepers[-1]

    yield make
    for each in keepers:
        each.__exit__()


def write(database: Database, directory: Path) -> str:
    directory.mkdir(exist_ok=True)
    with database.reading() as reading:
        return build(reading, directory, identity=database.identity)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x10
    path.write_bytes(content)


def read_by(shop, reader_id: int) -> list[int]:
    """Return the ids of the books in a reader's history."""
    shelves = shop.recommender._shelves
    return shelves.catalogue.ids[shelves.histories.of(reader_id).positions].tolist()


def break_pointer(directory: Path, version: str) -> None:
    (directory / "current").write_text("nonsense")


def break_array(directory: Path, version: str) -> None:
    flip_a_bit(directory / version / "event_positions.npy")


def tear_manifest(directory: Path, version: str) -> None:
    path = directory / version / "manifest.json"
    path.write_bytes(path.read_bytes()[:100])


def lose_files(directory: Path, version: str) -> None:
    (directory / version / "book_ids.npy").unlink()


BREAKING = [break_pointer, break_array, tear_manifest, lose_files]


@pytest.mark.parametrize("breaking", BREAKING)
def test_a_broken_mirror_is_replaced_at_the_start(database, directory, keeper, breaking):
    version = write(database, directory)
    breaking(directory, version)
    shop = keeper().open()
    assert read_by(shop, 8) == [2, 3]
    assert current_version(directory) != version


@pytest.mark.parametrize("breaking", BREAKING)
def test_a_broken_mirror_of_another_process_is_replaced_when_it_is_time(
    database, directory, keeper, breaking
):
    one = keeper(SOON_HOURS)
    one.open()
    breaking(directory, write(database, directory))
    broken = (directory / "current").read_text()
    taken = []
    one.start(taken.append)
    wait_until(lambda: taken, what="a new mirror")
    assert (directory / "current").read_text() != broken
    assert read_by(taken[0], 7) == [1]


def test_a_mirror_of_another_database_is_replaced_at_the_start(tmp_path, database, directory, keeper):
    url = f"sqlite:///{tmp_path}/other.db"
    migrate(url)
    with Database.open(url) as other:
        other.upsert_books([book(1)])
        write(other, directory)
    assert read_by(keeper().open(), 8) == [2, 3]


def test_a_mirror_that_is_ahead_of_a_restored_backup_is_replaced(tmp_path, database, directory, keeper):
    file, backup = tmp_path / "recommendations.db", tmp_path / "backup.db"
    with closing(sqlite3.connect(file)) as connection, closing(sqlite3.connect(backup)) as copy:
        connection.backup(copy)
    database.record([did(7, 4), did(7, 5)])
    write(database, directory)
    database.close()
    for path in tmp_path.glob("recommendations.db-*"):
        path.unlink()
    backup.replace(file)
    assert read_by(keeper().open(), 7) == [1]


def test_a_mirror_from_the_future_is_written_anew_when_it_is_time(database, directory, keeper, monkeypatch):
    with monkeypatch.context() as ahead:
        now = time.time_ns
        ahead.setattr(time, "time_ns", lambda: now() + HOUR_SECONDS * 1_000_000_000)
        version = write(database, directory)
    one = keeper(SOON_HOURS)
    one.open()  # the clock went back by an hour
    taken = []
    one.start(taken.append)
    wait_until(lambda: taken, what="a new mirror")
    assert current_version(directory) != version


def test_processes_that_start_at_once_write_one_mirror(database, directory, keeper, monkeypatch):
    written = []

    def counted(*arguments, **options):
        written.append(build(*arguments, **options))
        return written[-1]

    monkeypatch.setattr(mirroring, "build", counted)
    found = []
    threads = [threading.Thread(target=lambda: found.append(keeper().open())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [read_by(shop, 8) for shop in found] == [[2, 3]] * 4
    assert written == [current_version(directory)]


def test_what_a_killed_builder_left_is_cleared_away(database, directory, keeper):
    command = [sys.executable, "-c", _BUILD_SLOWLY, directory]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"half\n"
        os.kill(other.pid, signal.SIGKILL)
    assert current_version(directory) is None
    assert list(directory.glob(".building-*"))
    assert read_by(keeper().open(), 8) == [2, 3]
    assert {path.name for path in directory.iterdir()} == {current_version(directory), "current", ".lock"}


@pytest.mark.parametrize("rows", [30_000, 100_000])  # 0.8 MB of files, 2.6 MB; and scratch files
def test_a_disk_that_is_full_leaves_the_mirror_that_was_there(tmp_path, rows):
    disk = tmp_path / "disk"
    command = [*small_disk(disk, 1), sys.executable, "-c", _BUILD_UNTIL_THE_DISK_IS_FULL, disk, rows]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no space left on device" in done.stdout
    assert done.stdout.count("\n") == 1


def full(*_arguments, **_options):
    raise MirrorError("/mirror: no space left on device")


def test_a_start_on_a_full_disk_takes_an_old_mirror_and_all_that_happened_since(
    database, directory, keeper, monkeypatch
):
    version = write(database, directory)
    database.record([did(7, 4, at=1), did(9, 5, at=1)])
    monkeypatch.setattr(mirroring, "_LARGE_NEWS", 1)
    monkeypatch.setattr(mirroring, "build", full)
    shop = keeper().open()
    assert (read_by(shop, 7), read_by(shop, 9)) == ([1, 4], [5])
    assert current_version(directory) == version


def test_a_start_on_a_full_disk_without_a_mirror_says_so(database, keeper, monkeypatch):
    monkeypatch.setattr(mirroring, "build", full)
    with pytest.raises(MirrorError, match="no space left on device"):
        keeper().open()


def test_a_deleted_book_and_a_forgotten_reader_are_not_in_the_next_mirror(database, directory, keeper):
    one = keeper(SOON_HOURS)
    first = one.open()
    assert read_by(first, 8) == [2, 3]
    database.delete_books([1, 2])
    database.forget_reader(7)
    again = keeper().open()  # the same mirror, and what happened since
    assert (read_by(again, 7), again.recommender.catalogue.book_count) == ([], 3)
    taken = []
    one.start(taken.append)
    wait_until(lambda: taken, what="a new mirror")
    shop = taken[0]
    # Positions have moved: 3 stands first now.
    assert (read_by(shop, 7), read_by(shop, 8)) == ([], [3])
    assert shop.recommender.catalogue.ids.tolist() == [3, 4, 5]
    assert shop.recommender.reader_count == 1


def resident_kib(version: str, name: str) -> int:
    """Return how much of a mirror's file is in this process's memory."""
    mappings = Path("/proc/self/smaps").read_text().split("VmFlags")
    mine = [each for each in mappings if f"{version}/{name}" in each]
    assert mine
    return sum(int(each.split("Rss:")[1].split()[0]) for each in mine)


def test_what_was_counted_for_popular_books_does_not_stay_in_memory(database, directory, keeper, monkeypatch):
    monkeypatch.setattr(mirroring, "_LOOK_SECONDS", 0.05)
    one = keeper()
    shop = one.open()
    version = current_version(directory)
    assert len(shop.recommender.popular("", 0, 5)) == 3
    names = [f"popularity_{column}.npy" for column in ("times", "positions", "codes")]
    assert all(resident_kib(version, name) for name in names)
    one.start(lambda shop: None)
    wait_until(lambda: not any(resident_kib(version, name) for name in names))
    assert len(shop.recommender.popular("", 60_000_000, 5)) == 0
