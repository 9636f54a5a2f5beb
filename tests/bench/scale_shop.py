"""A made-up shop of any size, streamed: books, readers, interactions with long tails, and a model; seeded.

    python -m tests.bench.scale_shop DIRECTORY BOOKS READERS INTERACTIONS    # prints JSON of what it took

What is made stands in the directory as `recommendations migrate`, the mirror's builder and the model store
would have left it: the builder that is measured is the service's own. Knows nothing of the load.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.interactions import InteractionLog, InteractionType
from service.domain.model import ItemModel
from service.mirror import build, sole_builder
from service.models import ModelStore
from service.storage import Database, migrate

NEIGHBOURS = 100  # of each book, as training keeps
_SEED = 20_261_124
_LOT = 100_000  # interactions given out at a time
_CLUSTER = 256  # books that are alike
_TASTES = 3  # clusters that a reader likes
_WITHIN_TASTE = 0.7  # part of a reader's books; the others are what everybody reads
# Exponents of the long tails: a part x of all books has x ** (1 / exponent) of the interactions, so that one
# book in a hundred has a third of them; one reader in a hundred has a tenth.
_BOOK_TAIL, _READER_TAIL, _CLUSTER_TAIL = 4, 2, 2
_FIRST_TIME, _SPAN = 1_600_000_000_000_000, 160_000_000_000_000  # µs: September 2020, and five years on
_CATEGORIES = [f"shelf-{number:02}" for number in range(60)]
_TYPES = {
    InteractionType.VIEW: 0.50,
    InteractionType.WISHLIST: 0.08,
    InteractionType.PURCHASE: 0.17,
    InteractionType.READ: 0.10,
    InteractionType.RATING: 0.13,
    InteractionType.REMOVE: 0.005,
    InteractionType.NOT_INTERESTED: 0.015,
}
# Titles are as long as real ones, and differ.
_WORDS = ("The", "Last", "House", "on", "a", "Winter", "Morning", "Under", "Glass", "and", "Other", "Rivers")


class Lot(NamedTuple):
    """Interactions in stored order."""

    log: InteractionLog


@dataclass(frozen=True)
class MadeShop:
    """As many books, readers and interactions as asked for; also a reading for the mirror's builder."""

    book_count: int
    reader_count: int
    count: int
    mark: str = ""

    def books(self) -> Iterator[Book]:
        """Yield the books by ascending id."""
        chance = np.random.default_rng(_SEED)
        shelves = chance.integers(0, len(_CATEGORIES), (self.book_count, 2)).tolist()
        years = chance.integers(1900, 2026, self.book_count).tolist()
        words = len(_WORDS)
        for position, (book_id, year, (one, other)) in enumerate(
            zip(self.book_ids().tolist(), years, shelves, strict=True)
        ):
            first, length = position % words, 3 + position % 6
            yield Book(
                book_id,
                f"{' '.join(_WORDS[first : first + length])} {position}",
                (f"{_WORDS[position * 7 % words]} Author {position % 60_000}",),
                year,
                "en",
                work_id=book_id,
                categories=(_CATEGORIES[one],) if one == other else (_CATEGORIES[one], _CATEGORIES[other]),
            )

    def book_ids(self) -> NDArray[np.int64]:
        """Return the ids by position."""
        return np.arange(1, self.book_count + 1, dtype=np.int64) * 7

    def interaction_count(self) -> int:
        """Count the interactions."""
        return self.count

    def interactions(self) -> Iterator[Lot]:
        """Yield the interactions as they were stored: nearly by time."""
        chance = np.random.default_rng(_SEED + 1)
        kinds = np.array(list(_TYPES), dtype=np.uint8)
        for start in range(0, self.count, _LOT):
            rows = min(_LOT, self.count - start)
            types = chance.choice(kinds, rows, p=list(_TYPES.values()))
            stars = chance.choice(np.arange(2, 11) / 2, rows)
            late = chance.integers(0, 3_600_000_000, rows)
            readers = self._readers(chance, rows)
            yield Lot(
                InteractionLog(
                    self._reader_ids(readers),
                    self.book_ids()[self._positions(chance, readers)],
                    types,
                    np.where(types == InteractionType.RATING, stars, np.nan).astype(np.float32),
                    _FIRST_TIME + np.arange(start, start + rows) * (_SPAN // self.count) + late,
                )
            )

    def draw_readers(self, count: int, seed: int) -> list[int]:
        """Draw readers in proportion to their interactions."""
        return self._reader_ids(self._readers(np.random.default_rng(seed), count)).tolist()

    def _readers(self, chance: np.random.Generator, count: int) -> NDArray[np.int64]:
        return (self.reader_count * chance.random(count) ** _READER_TAIL).astype(np.int64)

    def _reader_ids(self, readers: NDArray[np.int64]) -> NDArray[np.int64]:
        # Active readers are not neighbours in memory.
        return _scattered(readers, self.reader_count) + 1

    def _positions(self, chance: np.random.Generator, readers: NDArray[np.int64]) -> NDArray[np.int64]:
        clusters = max(1, self.book_count // _CLUSTER)
        taste = (readers * _TASTES + chance.integers(0, _TASTES, len(readers))) * 2_654_435_761 % clusters
        inside = (min(_CLUSTER, self.book_count) * chance.random(len(readers)) ** _CLUSTER_TAIL).astype(
            np.int64
        )
        anywhere = _scattered(
            (self.book_count * chance.random(len(readers)) ** _BOOK_TAIL).astype(np.int64), self.book_count
        )
        within_taste = chance.random(len(readers)) < _WITHIN_TASTE
        return np.where(within_taste, np.minimum(taste * _CLUSTER + inside, self.book_count - 1), anywhere)

    def model(self) -> ItemModel:
        """Make a model: of each book's neighbours most are of its cluster, the others popular."""
        chance = np.random.default_rng(_SEED + 2)
        count = min(NEIGHBOURS, self.book_count // 2)
        alike = min(7 * count // 10, _CLUSTER // 4)
        positions = np.arange(self.book_count)
        indices = np.empty((self.book_count, count), dtype=np.int32)
        for place in range(count):
            if place < alike:  # an odd step apart, so that all are different
                inside = (positions + 1 + 3 * place) % _CLUSTER
                indices[:, place] = np.minimum(positions - positions % _CLUSTER + inside, self.book_count - 1)
            else:  # from another part of the popular ones each, so that all are different
                part = (place - alike + chance.random(self.book_count)) / (count - alike)
                ranks = (self.book_count * part**_BOOK_TAIL).astype(np.int64)
                indices[:, place] = _scattered(ranks, self.book_count)
        weights = np.sort(chance.random((self.book_count, count), dtype=np.float32))[:, ::-1] * 0.1
        return ItemModel(
            "",
            "made up",
            int(time.time()) * 1_000_000,
            self.book_ids(),
            np.arange(self.book_count + 1, dtype=np.int64) * count,
            indices.reshape(-1),
            np.ascontiguousarray(weights).reshape(-1),
            np.ones(self.book_count, dtype=np.float32),
            self.reader_count,
            self.count,
        )


def _scattered(ranks: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Give each rank a place of its own, 0 to count - 1."""
    step = next(step for step in range(int(count * 0.618) | 1, 2 * count + 2) if np.gcd(step, count) == 1)
    return ranks * step % count


def make(directory: Path, book_count: int, reader_count: int, count: int) -> dict[str, float]:
    """Make a database without rows, its mirror with them, and a promoted model; return what it took."""
    url = f"sqlite:///{directory}/recommendations.db"
    migrate(url)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Database.open(url) as database, database.reading() as reading:
        shop = MadeShop(book_count, reader_count, count, reading.mark)
        with sole_builder(directory / "mirror"):
            started = time.monotonic()
            version = build(shop, directory / "mirror", identity=database.identity)
            seconds = time.monotonic() - started
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    files = (directory / "mirror" / version).iterdir()
    made = {
        "seconds": seconds,
        "peak_mb": peak_kib / 1024,
        "grown_mb": (peak_kib - before_kib) / 1024,
    } | {path.stem: path.stat().st_size for path in files}
    models = ModelStore.open(str(directory / "models"), cache_directory=directory / "models-cache")
    models.promote(models.save(shop.model(), settings={}, data_digest="made up"))
    return made


if __name__ == "__main__":
    print(json.dumps(make(Path(sys.argv[1]), *map(int, sys.argv[2:5]))))
