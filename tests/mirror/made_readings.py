"""Readings made in memory, and what a mirror of them must hold, worked out the simple way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from service.domain.books import Book
from service.domain.interactions import InteractionLog, event_codes, preference_weights
from tests.domain.shop import book, did, log_of


class Lot(NamedTuple):
    log: InteractionLog


@dataclass
class MadeReading:
    """Books by ascending id and a log in stored order, given out in lots."""

    all_books: list[Book]
    log: InteractionLog = field(default_factory=log_of)
    mark: str = "7:3"
    lot: int = 1_000

    def books(self) -> Iterable[Book]:
        return iter(self.all_books)

    def interaction_count(self) -> int:
        return len(self.log)

    def interactions(self) -> Iterator[Lot]:
        for start in range(0, len(self.log), self.lot):
            yield Lot(self.log.take(np.arange(start, min(start + self.lot, len(self.log)))))


def small_reading() -> MadeReading:
    """Four books on two shelves, three readers, one interaction with a book that is gone."""
    log = log_of(did(5, 10, at=3), did(9, 40, at=1), did(5, 20, at=2), did(5, 99, at=1), did(7, 30, at=3))
    books = [book(10), book(20, "poetry", "mystery"), book(30), book(40, "poetry")]
    return MadeReading(books, log)


def random_log(rng: np.random.Generator, rows: int, readers: int, books: int) -> InteractionLog:
    """Make a log out of time order, in which one reader and one instant have a large part."""
    types = rng.integers(1, 8, rows).astype(np.uint8)
    ratings = np.where(types == 5, rng.integers(2, 11, rows) / 2, np.nan).astype(np.float32)
    reader_ids = rng.integers(1, readers + 1, rows) * 1_000_003
    times = rng.integers(0, 10 * rows, rows)
    reader_ids[rng.random(rows) < 0.2] = 2 * 1_000_003
    times[rng.random(rows) < 0.2] = rows
    return InteractionLog(reader_ids, rng.integers(1, books + 1, rows), types, ratings, times)


def repeats_by_reader_and_time(log: InteractionLog, positions: np.ndarray, codes: np.ndarray) -> list[bool]:
    """Tell of each event, by reader and time, whether the same one came before."""
    order = np.lexsort((log.occurred_at, log.reader_ids)).tolist()
    seen, again = set(), []
    for row in order:
        event = (int(log.reader_ids[row]), int(log.occurred_at[row]), int(positions[row]), int(codes[row]))
        again.append(event in seen)
        seen.add(event)
    return again


def expected_arrays(reading: MadeReading) -> dict[str, np.ndarray]:
    """Work out what the files of a mirror hold, but for the encoded books."""
    ids = [each.id for each in reading.all_books]
    position_of = {book_id: position for position, book_id in enumerate(ids)}
    places = [position_of.get(book_id, -1) for book_id in reading.log.book_ids.tolist()]
    log = reading.log.take(np.array([place >= 0 for place in places], dtype=bool))
    positions = np.array([place for place in places if place >= 0], dtype=np.int32)
    codes = event_codes(log.types, log.ratings)
    totals = np.zeros(len(ids))
    np.add.at(totals, positions, preference_weights(log.types, log.ratings))
    by_time = np.argsort(log.occurred_at, kind="stable")
    by_reader = np.array(
        [
            row
            for row, again in zip(
                np.lexsort((log.occurred_at, log.reader_ids)).tolist(),
                repeats_by_reader_and_time(log, positions, codes),
                strict=True,
            )
            if not again
        ],
        dtype=np.intp,
    )
    readers, starts = np.unique(log.reader_ids[by_reader], return_index=True)
    return {
        "book_ids": np.array(ids, dtype=np.int64),
        "reader_ids": readers,
        "reader_starts": np.append(starts, len(by_reader)),
        "event_positions": positions[by_reader],
        "event_codes": codes[by_reader],
        "event_times": log.occurred_at[by_reader],
        "popularity_totals": totals,
        "popularity_times": log.occurred_at[by_time],
        "popularity_positions": positions[by_time],
        "popularity_codes": codes[by_time],
    }
