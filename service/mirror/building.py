"""Writes a mirror from one state of the database, in bounded memory; knows neither product nor schema."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.catalogue_pages import BookEncoder, bits_of
from service.domain.interactions import InteractionLog, event_codes, preference_weights
from service.domain.repeats import repeated
from service.mirror import manifest as manifests
from service.mirror.array_files import new_array_file
from service.mirror.directory import BUILDING, clear_abandoned, make_current
from service.mirror.errors import file_errors
from service.mirror.manifest import ARRAY_TYPES, MANIFEST
from service.mirror.sorting import read_rows, sorted_rows
from service.models.durable_files import new_durable_file, sync_directory

_BOOKS_A_LOT = 10_000
# Every so-manieth interaction says how times and readers are spread: 0.4 MB a million interactions.
_SAMPLE_STEP = 37

_ROW = np.dtype([("reader_id", "<i8"), ("time", "<i8"), ("position", "<i4"), ("code", "u1")])


class Lot(Protocol):
    """Some interactions in the order in which they were stored."""

    @property
    def log(self) -> InteractionLog: ...


class Reading(Protocol):
    """One state of a database, streamed."""

    @property
    def mark(self) -> str: ...
    def books(self) -> Iterable[Book]: ...  # by ascending id
    def interaction_count(self) -> int: ...
    def interactions(self) -> Iterable[Lot]: ...


Progress = Callable[[int, int], None]  # interactions read, of how many


def build(reading: Reading, directory: Path, *, identity: str, progress: Progress | None = None) -> str:
    """Write a mirror of what is read, make it the current one, and return its version.

    Only for a sole builder. Interactions with books that the catalogue lacks are left out. Memory is bounded
    by the books and readers, some ten bytes each, and by the interactions of the busiest reader. Raises
    MirrorError where it cannot be written; nothing is left behind then, and what was current stays.
    """
    with file_errors(directory):
        # Before anything else: half a mirror that a dead builder left may be what fills the disk.
        clear_abandoned(directory)
        written = directory / f"{BUILDING}{secrets.token_hex(8)}"
        written.mkdir()
        try:
            manifest = _write(reading, written, identity, progress)
            version: str = manifest["version"]
            written = written.rename(directory / version)
            sync_directory(directory)
            make_current(directory, version)
        except BaseException:
            shutil.rmtree(written, ignore_errors=True)
            raise
    return version


def _write(reading: Reading, directory: Path, identity: str, progress: Progress | None) -> dict[str, Any]:
    written_at = time.time_ns() // 1000
    arrays: dict[str, Any] = {}
    encoder = BookEncoder()
    book_ids = _write_books(reading.books(), encoder, directory, arrays)
    scratch = directory / ".scratch"
    scratch.mkdir()
    _write_events(reading, book_ids, directory, scratch, arrays, progress)
    scratch.rmdir()
    manifest = manifests.compose(
        identity=identity,
        mark=reading.mark,
        written_at=written_at,
        slugs=encoder.slugs,
        book_counts=encoder.book_counts,
        arrays=arrays,
    )
    with new_durable_file(directory / MANIFEST) as file:
        file.write(manifests.write_text(manifest).encode())
    sync_directory(directory)
    return manifest


class _ArrayFiles(ExitStack):
    """The files of a mirror's arrays, complete at the end of the block."""

    def __init__(self, directory: Path, arrays: dict[str, Any]) -> None:
        super().__init__()
        self._directory, self._arrays = directory, arrays

    def new(self, name: str, row: tuple[int, ...] = ()) -> Callable[[NDArray], None]:
        """Begin an array; return what puts rows behind it."""
        return self.enter_context(
            new_array_file(self._directory, name, ARRAY_TYPES[name], self._arrays, row)
        ).append


def _write_books(
    books: Iterable[Book], encoder: BookEncoder, directory: Path, arrays: dict[str, Any]
) -> NDArray[np.int64]:
    ids, category_counts, categories = [], [], []
    end = 0
    with _ArrayFiles(directory, arrays) as files:
        put_ids, put_texts, put_offsets = map(files.new, ("book_ids", "book_texts", "book_offsets"))
        put_offsets(np.zeros(1, dtype=np.int64))
        stream = iter(books)
        while lot := list(islice(stream, _BOOKS_A_LOT)):
            encoded = encoder.encode(lot)
            put_ids(encoded.ids)
            put_texts(np.frombuffer(encoded.texts, dtype=np.uint8))
            put_offsets(end + np.cumsum(encoded.lengths))
            end += len(encoded.texts)
            ids.append(encoded.ids)
            category_counts.append(encoded.category_counts)
            categories.append(encoded.categories)
        # How many words the bits of a book take is known now, when all categories have been met.
        put_bits = files.new("book_category_bits", (encoder.word_count,))
        for counts, numbers in zip(category_counts, categories, strict=True):
            put_bits(bits_of(counts, numbers, encoder.word_count))
    return np.concatenate(ids) if ids else np.empty(0, dtype=np.int64)


def _write_events(
    reading: Reading,
    book_ids: NDArray[np.int64],
    directory: Path,
    scratch: Path,
    arrays: dict[str, Any],
    progress: Progress | None,
) -> None:
    """Sort interactions by time, and those once more by reader: each reader's then lie in time order."""
    totals = np.zeros(len(book_ids))
    stored, timely = scratch / "stored", scratch / "timely"
    row_count, samples = 0, []
    total = reading.interaction_count()
    with stored.open("xb") as file:
        read = 0
        for lot in reading.interactions():
            rows, weights = _rows(lot.log, book_ids)
            totals += np.bincount(rows["position"], weights, minlength=len(book_ids))
            file.write(rows.view(np.uint8).data)
            samples.append(rows[::_SAMPLE_STEP].copy())
            row_count, read = row_count + len(rows), read + len(lot.log)
            if progress:
                progress(read, total)
    sampled = np.concatenate([np.empty(0, dtype=_ROW), *samples])
    with _ArrayFiles(directory, arrays) as files, timely.open("xb") as file:
        files.new("popularity_totals")(totals)
        put_times, put_positions, put_codes = map(
            files.new, ("popularity_times", "popularity_positions", "popularity_codes")
        )
        by_time = sorted_rows(read_rows(stored, _ROW), "time", sampled["time"], row_count, scratch)
        for rows in by_time:
            put_times(rows["time"])
            put_positions(rows["position"])
            put_codes(rows["code"])
            file.write(rows.view(np.uint8).data)
    stored.unlink()
    with _ArrayFiles(directory, arrays) as files:
        put_times, put_positions, put_codes = map(
            files.new, ("event_times", "event_positions", "event_codes")
        )
        put_readers, put_starts = map(files.new, ("reader_ids", "reader_starts"))
        by_reader = sorted_rows(
            read_rows(timely, _ROW), "reader_id", sampled["reader_id"], row_count, scratch
        )
        start, last_reader = 0, None
        for rows in _each_once(by_reader):
            put_times(rows["time"])
            put_positions(rows["position"])
            put_codes(rows["code"])
            readers, starts = np.unique(rows["reader_id"], return_index=True)
            if len(readers) and readers[0] == last_reader:
                readers, starts = readers[1:], starts[1:]
            put_readers(readers)
            put_starts(start + starts)
            start, last_reader = start + len(rows), rows["reader_id"][-1] if len(rows) else last_reader
        put_starts(np.array([start]))
    timely.unlink()


def _each_once(blocks: Iterable[NDArray]) -> Iterator[NDArray]:
    """Leave out events that are there already; they come by reader and time."""
    held = np.empty(0, dtype=_ROW)
    for block in blocks:
        rows = np.concatenate((held, block))
        # The last instant may go on in the next block.
        last = (rows["reader_id"] == rows["reader_id"][-1:]) & (rows["time"] == rows["time"][-1:])
        ends = len(rows) - np.count_nonzero(last)
        yield _without_repeats(rows[:ends])
        held = _without_repeats(rows[ends:])
    yield held


def _without_repeats(rows: NDArray) -> NDArray:
    return rows[~repeated(*(rows[name] for name in ("reader_id", "time", "position", "code")))]


def _rows(log: InteractionLog, book_ids: NDArray[np.int64]) -> tuple[NDArray, NDArray[np.float32]]:
    """Return the interactions with books that there are, and how much each adds to its book's popularity."""
    places = np.searchsorted(book_ids, log.book_ids)
    known = places < len(book_ids)
    known[known] = book_ids[places[known]] == log.book_ids[known]
    rows = np.empty(np.count_nonzero(known), dtype=_ROW)
    rows["reader_id"], rows["time"] = log.reader_ids[known], log.occurred_at[known]
    rows["position"], rows["code"] = places[known], event_codes(log.types, log.ratings)[known]
    return rows, preference_weights(log.types, log.ratings)[known]
