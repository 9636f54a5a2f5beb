"""The books that can be recommended, by position and by category; knows no readers and no models."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book, quoted
from service.domain.errors import InvalidInput, NotFound

LARGEST_INT32 = 2**31 - 1

# Every book that may be shown carries this bit, so "any category" is one more category to the kernel.
_ANY = 0


class Catalogue:
    """An immutable set of books in which each has a position, 0 to n - 1.

    Positions never change: a catalogue made from another one keeps them and appends, and a deleted book
    leaves its position behind, without a book. Histories and models hold positions across changes.
    """

    def __init__(self, books: Iterable[Book]) -> None:
        ordered = sorted(books, key=lambda book: book.id)
        self._books: list[Book | None] = [*ordered]
        self._position_of = {book.id: position for position, book in enumerate(ordered)}
        self._index()

    def _index(self) -> None:
        slugs = sorted({slug for book in self._books if book for slug in book.categories})
        self._bit_of = {slug: bit for bit, slug in enumerate(slugs, start=_ANY + 1)}
        self._book_counts = dict.fromkeys(slugs, 0)
        # category_bits[position] has bit k % 64 of word k // 64 set for each category k of the book.
        self.category_bits = np.zeros((len(self._books), len(slugs) // 64 + 1), dtype=np.uint64)
        self.ids = np.zeros(len(self._books), dtype=np.int64)
        for book_id, position in self._position_of.items():
            self.ids[position] = book_id
        for position, book in enumerate(self._books):
            if book is None:
                continue
            for slug in book.categories:
                self._book_counts[slug] += 1
            self.category_bits[position] = self._words(
                [_ANY, *(self._bit_of[slug] for slug in book.categories)]
            )
        self._wanted = {slug: self._words([bit]) for slug, bit in self._bit_of.items()}
        self._wanted_any = self._words([_ANY])
        self.ids.flags.writeable = False
        self.category_bits.flags.writeable = False

    def _words(self, bits: Iterable[int]) -> NDArray[np.uint64]:
        words = np.zeros(len(self._bit_of) // 64 + 1, dtype=np.uint64)
        for bit in bits:
            words[bit // 64] |= np.uint64(1 << (bit % 64))
        return words

    def __len__(self) -> int:
        """Count positions, those of deleted books included."""
        return len(self._books)

    def __contains__(self, book_id: int) -> bool:
        position = self._position_of.get(book_id)
        return position is not None and self._books[position] is not None

    @property
    def book_count(self) -> int:
        """Count the books that can be shown."""
        return len(self._books) - self._books.count(None)

    @property
    def book_counts(self) -> dict[str, int]:
        """Count the books of each category, by slug in alphabetical order."""
        return self._book_counts

    def book(self, book_id: int) -> Book:
        """Return a book by id; raise NotFound."""
        position = self._position_of.get(book_id)
        book = None if position is None else self._books[position]
        if book is None:
            raise NotFound("book", book_id)
        return book

    def at(self, position: int) -> Book | None:
        """Return the book at a position, None where it was deleted."""
        return self._books[position]

    def books(self) -> Iterator[Book]:
        """Yield every book by ascending id."""
        return iter(self._by_id)

    @cached_property
    def _by_id(self) -> list[Book]:
        return sorted(filter(None, self._books), key=lambda book: book.id)

    @cached_property
    def ids_beyond_int32(self) -> tuple[int, ...]:
        """The ids of all books that a 32-bit field cannot carry."""
        return tuple(self.ids[self.ids > LARGEST_INT32].tolist())

    def positions(self, book_ids: Sequence[int]) -> NDArray[np.int32]:
        """Return the positions of those books that have one, in the given order."""
        known = (self._position_of.get(book_id) for book_id in book_ids)
        return np.array([position for position in known if position is not None], dtype=np.int32)

    def positions_of_array(self, book_ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the position of each book id, -1 where there is none; for arrays of any length."""
        if not len(self.ids):
            return np.full(len(book_ids), -1, dtype=np.int32)
        order = np.argsort(self.ids, kind="stable")
        places = order[np.minimum(np.searchsorted(self.ids, book_ids, sorter=order), len(order) - 1)]
        return np.where(self.ids[places] == book_ids, places, -1).astype(np.int32)

    def wanted(self, slugs: Sequence[str], field: str = "categories") -> NDArray[np.uint64]:
        """Return the bits of which a book must have one; raise InvalidInput for unknown slugs."""
        if not slugs:
            return self._wanted_any
        if len(slugs) == 1 and slugs[0] in self._wanted:
            return self._wanted[slugs[0]]
        unknown = [slug for slug in slugs if slug not in self._bit_of]
        if unknown:
            raise InvalidInput.of(field, f"{quoted(unknown[0])} is not a category of the catalogue")
        return self._words([self._bit_of[slug] for slug in slugs])

    def with_books(self, books: Iterable[Book]) -> "Catalogue":
        """Return a catalogue in which these books are new or replace those of the same id."""
        changed = self._copy()
        for book in books:
            position = changed._position_of.setdefault(book.id, len(changed._books))
            if position == len(changed._books):
                changed._books.append(book)
            else:
                changed._books[position] = book
        changed._index()
        return changed

    def without(self, book_ids: Iterable[int]) -> "Catalogue":
        """Return a catalogue without these books; ids that are not there change nothing."""
        changed = self._copy()
        for book_id in book_ids:
            if (position := changed._position_of.get(book_id)) is not None:
                changed._books[position] = None
        changed._index()
        return changed

    def _copy(self) -> "Catalogue":
        copy = Catalogue(())
        copy._books = list(self._books)
        copy._position_of = dict(self._position_of)
        return copy
