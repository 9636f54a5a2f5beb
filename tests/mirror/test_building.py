"""A mirror holds exactly what was read, whatever its size, order and spread, and is whole or not there."""

import errno
import resource
from pathlib import Path

import numpy as np
import pytest

from service.domain.catalogue import Catalogue
from service.domain.errors import Unavailable
from service.mirror import Mirror, MirrorError, build, current_version, sorting
from tests.domain.shop import book, did, log_of
from tests.mirror.made_readings import MadeReading, expected_arrays, random_log, small_reading

IDENTITY = "a-database"


def built(reading: MadeReading, directory: Path) -> Mirror:
    version = build(reading, directory, identity=IDENTITY)
    assert current_version(directory) == version
    return Mirror.open(directory, version, IDENTITY)


def assert_holds(mirror: Mirror, reading: MadeReading) -> None:
    events, popularity = mirror.events, mirror.popularity
    found = {
        "book_ids": mirror.catalogue.ids,
        "reader_ids": events.reader_ids,
        "reader_starts": events.starts,
        "event_positions": events.positions,
        "event_codes": events.codes,
        "event_times": events.times,
        "popularity_totals": popularity.totals,
        "popularity_times": popularity.times,
        "popularity_positions": popularity.positions,
        "popularity_codes": popularity.codes,
    }
    for name, expected in expected_arrays(reading).items():
        np.testing.assert_allclose(found[name], expected, err_msg=name)
        assert found[name].dtype == expected.dtype, name
        assert not found[name].flags.writeable
    catalogue, in_memory = Catalogue(mirror.catalogue), Catalogue(reading.all_books)
    assert list(catalogue.books()) == reading.all_books
    assert catalogue.book_counts == in_memory.book_counts
    assert np.array_equal(catalogue.category_bits, in_memory.category_bits)


def test_a_mirror_holds_what_was_read(tmp_path):
    reading = small_reading()
    mirror = built(reading, tmp_path)
    assert mirror.mark == reading.mark
    assert_holds(mirror, reading)


def test_an_empty_database_has_a_mirror(tmp_path):
    assert_holds(built(MadeReading([]), tmp_path), MadeReading([]))


def test_a_catalogue_that_nobody_touched_has_a_mirror(tmp_path):
    reading = MadeReading([book(1), book(2)])
    assert_holds(built(reading, tmp_path), reading)


def test_a_log_without_any_known_book_leaves_no_reader(tmp_path):
    mirror = built(MadeReading([book(1)], log_of(did(5, 2), did(6, 3))), tmp_path)
    assert (len(mirror.events.reader_ids), mirror.events.starts.tolist()) == (0, [0])


def test_more_rows_than_are_sorted_at_once_come_out_in_order(tmp_path, monkeypatch):
    # Small buckets, so that a small log has many, and one reader and one instant fill several.
    monkeypatch.setattr(sorting, "_ROWS_A_BUCKET", 500)
    monkeypatch.setattr(sorting, "_ROWS_A_READ", 300)
    books = [book(book_id, f"shelf-{book_id % 100}") for book_id in range(1, 301)]
    log = random_log(np.random.default_rng(4), rows=30_000, readers=2_000, books=310)
    reading = MadeReading(books, log)
    mirror = built(reading, tmp_path)
    assert_holds(mirror, reading)
    assert len(mirror.events.times) < len(mirror.popularity.times)  # something was there twice


@pytest.mark.parametrize("reader_id", [1, 2**63 - 1])
def test_one_reader_and_one_instant_for_everything_keeps_the_stored_order(tmp_path, monkeypatch, reader_id):
    monkeypatch.setattr(sorting, "_ROWS_A_BUCKET", 100)
    log = log_of(*(did(reader_id, 1 + row % 7, at=4) for row in range(2_000)))
    reading = MadeReading([book(book_id) for book_id in range(1, 8)], log)
    mirror = built(reading, tmp_path)
    assert mirror.popularity.positions.tolist() == [row % 7 for row in range(2_000)]
    assert mirror.events.positions.tolist() == list(range(7))  # each thing once
    assert_holds(mirror, reading)


def test_progress_is_told_up_to_the_end(tmp_path):
    told = []
    reading = small_reading()
    reading.lot = 2
    build(reading, tmp_path, identity=IDENTITY, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_nothing_but_the_mirror_is_left_behind(tmp_path):
    version = build(small_reading(), tmp_path, identity=IDENTITY)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([version, "current"])
    assert all(path.suffix in (".npy", ".json") for path in (tmp_path / version).iterdir())


@pytest.mark.parametrize("written_before", range(0, 18, 2))  # of 18 files, the pointer is the last
def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path, monkeypatch, written_before):
    current = build(small_reading(), tmp_path, identity=IDENTITY)
    left = written_before
    opened = Path.open

    def open_on_full_disk(path, mode="r", *arguments, **options):
        nonlocal left
        if "x" in mode:
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return opened(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_on_full_disk)
    with pytest.raises(MirrorError, match=r"^.*: no space left on device$"):
        build(small_reading(), tmp_path, identity=IDENTITY)
    assert current_version(tmp_path) == current
    assert {path.name for path in tmp_path.iterdir()} == {current, "current"}


@pytest.mark.parametrize("largest_bytes", [100, 3_000, 50_000])
def test_a_file_that_cannot_grow_is_one_line_and_leaves_nothing(tmp_path, largest_bytes):
    log = random_log(np.random.default_rng(4), rows=10_000, readers=200, books=10)
    reading = MadeReading([book(book_id) for book_id in range(1, 10)], log)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, limits[1]))
    try:
        with pytest.raises(MirrorError, match=r"^.*: file too large$"):
            build(reading, tmp_path, identity=IDENTITY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_reading_that_breaks_off_leaves_nothing(tmp_path):
    class BreaksOff(MadeReading):
        def interactions(self):
            yield from super().interactions()
            raise Unavailable("gone", retry_seconds=1.0)

    with pytest.raises(Unavailable, match="gone"):
        build(BreaksOff([book(1)], log_of(did(1, 1))), tmp_path, identity=IDENTITY)
    assert list(tmp_path.iterdir()) == []


def test_a_forgotten_reader_is_in_no_file_of_the_next_mirror(tmp_path):
    forgotten, marker = 0x1122334455667788, 0x0102030405060708
    kept = small_reading().log
    with_reader = log_of(did(forgotten, 10, at=marker), did(5, 20))

    def traces() -> list[str]:
        sought = [value.to_bytes(8, "little") for value in (forgotten, marker)]
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        return [path.name for path in files if any(each in path.read_bytes() for each in sought)]

    books = small_reading().all_books
    first = build(MadeReading(books, with_reader), tmp_path, identity=IDENTITY)
    assert "reader_ids.npy" in traces()
    build(MadeReading(books, kept), tmp_path, identity=IDENTITY)
    for file in (tmp_path / first).iterdir():
        file.unlink()
    assert traces() == []
