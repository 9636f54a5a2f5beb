"""What ranking asks of a book besides its categories, as numbers in arrays; knows no catalogue.

Texts stand as hashes: numbers that need no register, are the same in every process, and never change when a
book is added. That two of a million names share one of 64 bits happens once in forty million shops.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book

# A language is one more category to the kernel; no slug has a colon.
LANGUAGE = "language:"


class Traits(NamedTuple):
    """Columns of one length; 0 where a book has none of it. Arrays may be read-only and mapped from files."""

    works: NDArray[np.int64]  # the work that the book is an edition of
    series: NDArray[np.uint64]  # hash of the name
    volumes: NDArray[np.float32]  # the position in the series
    authors: NDArray[np.uint64]  # hash of the first author

    @classmethod
    def of(cls, books: Sequence[Book]) -> "Traits":
        """Take down the traits of books."""
        return cls(
            np.array([book.work_id for book in books], dtype=np.int64),
            np.array([_hash(book.series) if book.series else 0 for book in books], dtype=np.uint64),
            np.array([book.series_position for book in books], dtype=np.float32),
            np.array([_hash(book.authors[0]) if book.authors else 0 for book in books], dtype=np.uint64),
        )

    def followed_by(self, other: "Traits") -> "Traits":
        """Return the traits of both, those of the other books last."""
        return Traits(
            np.concatenate((self.works, other.works)),
            np.concatenate((self.series, other.series)),
            np.concatenate((self.volumes, other.volumes)),
            np.concatenate((self.authors, other.authors)),
        )

    def replaced(self, positions: NDArray[np.int32], other: "Traits") -> "Traits":
        """Return them with other traits at some positions."""
        after = Traits(self.works.copy(), self.series.copy(), self.volumes.copy(), self.authors.copy())
        after.works[positions], after.series[positions] = other.works, other.series
        after.volumes[positions], after.authors[positions] = other.volumes, other.authors
        return after

    def take(self, chosen: slice) -> "Traits":
        """Return those of some of the books."""
        return Traits(self.works[chosen], self.series[chosen], self.volumes[chosen], self.authors[chosen])

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Return the columns in the order of their names."""
        return tuple(self)


@lru_cache(1 << 16)  # most names are those of several books
def _hash(name: str) -> int:
    digest = blake2b(name.strip().casefold().encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def language_slug(language: str) -> str:
    """Return the category that books in a language are in, beside their own."""
    return LANGUAGE + language.lower()


def is_in_language(slug: str, wanted: str) -> bool:
    """Tell whether the language of a category is the one wanted, or one of its kinds: en-GB is en.

    Source: RFC 4647, basic filtering.
    """
    language, range_ = slug.removeprefix(LANGUAGE), wanted.lower()
    return language == range_ or language.startswith(range_ + "-")
