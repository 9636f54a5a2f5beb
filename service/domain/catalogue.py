"""The books that can be recommended, by position and by category; knows no readers and no models."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from heapq import merge

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book, quoted
from service.domain.catalogue_pages import ANY_BIT, CataloguePages, decoded, shelves_of, word_count
from service.domain.errors import InvalidInput, NotFound
from service.domain.traits import LANGUAGE, Traits, is_in_language

LARGEST_INT32 = 2**31 - 1

# Decoding takes microseconds, a decoded book some hundred bytes: these are the books that most answers name.
_MOST_DECODED = 16_384
# Enough to look through in one step, few enough to be quick where the first of them will do.
_BLOCK = 16_384


class Catalogue:
    """An immutable set of books in which each has a position, 0 to n - 1.

    Positions never change: a catalogue made from another one keeps them and appends, and a deleted book
    leaves its position behind, without a book. Histories and models hold positions across changes.

    Books lie encoded in pages, which processes may share, and are decoded when asked for. What has changed
    since the pages were made lies beside them, as books.
    """

    def __init__(self, books: Iterable[Book] | CataloguePages) -> None:
        """Take over pages, or make them of books in memory."""
        pages = books if isinstance(books, CataloguePages) else CataloguePages.of(books)
        self._pages = pages
        # Memoryviews are several times quicker than arrays to take single numbers and slices from.
        self._page_ids, self._offsets, self._texts = pages.ids.data, pages.offsets.data, pages.texts.data
        self._changed: dict[int, Book | None] = {}  # by position; None where a book was deleted
        self._added: dict[int, int] = {}  # positions behind those of the pages, by book id
        self._slugs = pages.slugs
        self._counts = list(pages.book_counts)
        self._complete(pages.ids, pages.category_bits, pages.traits)

    def _complete(self, ids: NDArray[np.int64], category_bits: NDArray[np.uint64], traits: Traits) -> None:
        # category_bits[position] has bit k % 64 of word k // 64 set for each bit k of the book's categories.
        self.ids, self.category_bits = ids.view(), category_bits.view()
        self.ids.flags.writeable = self.category_bits.flags.writeable = False
        self.traits = traits  # [positions]
        self._decoded: dict[int, Book] = {}
        self._bit_of = {
            slug: bit
            for bit, slug in enumerate(self._slugs, start=ANY_BIT + 1)
            if self._counts[bit - ANY_BIT - 1]
        }
        self._book_counts = {
            slug: self._counts[bit - ANY_BIT - 1]
            for slug, bit in sorted(self._bit_of.items())
            if not slug.startswith(LANGUAGE)
        }
        self._wanted: dict[str, NDArray[np.uint64]] = {}
        self._wanted_any = self._words([ANY_BIT])
        self._clauses: dict[str, NDArray[np.uint64]] = {}
        self._clause_any = _readonly(self._wanted_any.reshape(1, -1))

    def _words(self, bits: Iterable[int]) -> NDArray[np.uint64]:
        words = np.zeros(self.category_bits.shape[1], dtype=np.uint64)
        for bit in bits:
            words[bit // 64] |= np.uint64(1 << (bit % 64))
        return words

    def __len__(self) -> int:
        """Count positions, those of deleted books included."""
        return len(self.ids)

    def __contains__(self, book_id: int) -> bool:
        position = self._position_of(book_id)
        return position is not None and self._changed.get(position, book_id) is not None

    @cached_property
    def book_count(self) -> int:
        """Count the books that can be shown."""
        return len(self.ids) - list(self._changed.values()).count(None)

    @property
    def shelf_bits(self) -> list[int]:
        """The bits of the categories, without those of languages."""
        return [self._bit_of[slug] for slug in self._book_counts]

    @property
    def book_counts(self) -> dict[str, int]:
        """Count the books of each category, by slug in alphabetical order."""
        return self._book_counts

    def book(self, book_id: int) -> Book:
        """Return a book by id; raise NotFound."""
        position = self._position_of(book_id)
        book = None if position is None else self.at(position)
        if book is None:
            raise NotFound("book", book_id)
        return book

    def at(self, position: int) -> Book | None:
        """Return the book at a position, None where it was deleted."""
        book = self._decoded.get(position)
        if book is not None:
            return book
        if position in self._changed:
            return self._changed[position]
        if len(self._decoded) >= _MOST_DECODED:
            self._decoded.clear()  # starting anew costs no book-keeping on the way
        book = self._decoded[position] = self._from_pages(position)
        return book

    def _from_pages(self, position: int) -> Book:
        text = self._texts[self._offsets[position] : self._offsets[position + 1]]
        return decoded(self._page_ids[position], text, self._pages.slugs)

    def _position_of(self, book_id: int) -> int | None:
        """Return the position of a book, also of a deleted one."""
        place = bisect_left(self._page_ids, book_id)
        if place < len(self._page_ids) and self._page_ids[place] == book_id:
            return place
        return self._added.get(book_id)

    def books(self, after: int = 0, category: str = "") -> Iterator[Book]:
        """Yield every book by ascending id, or those behind an id or of a category alone.

        Raises InvalidInput where the catalogue does not have the category.
        """
        wanted = self.wanted([category] if category else (), "category")
        return (
            book
            for position in merge(
                self._among_pages(after, wanted),
                self._among_added(after, wanted),
                key=self.ids.data.__getitem__,
            )
            if (book := self._changed[position] if position in self._changed else self._from_pages(position))
        )

    def _among_pages(self, after: int, wanted: NDArray[np.uint64]) -> Iterator[int]:
        page_count = len(self._page_ids)
        for start in range(bisect_left(self._page_ids, after + 1), page_count, _BLOCK):
            block = self.category_bits[start : min(start + _BLOCK, page_count)]
            yield from (start + np.flatnonzero(np.any(block & wanted, axis=1))).tolist()

    def _among_added(self, after: int, wanted: NDArray[np.uint64]) -> list[int]:
        found = (position for book_id, position in sorted(self._added.items()) if book_id > after)
        return [position for position in found if np.any(self.category_bits[position] & wanted)]

    @cached_property
    def ids_beyond_int32(self) -> tuple[int, ...]:
        """The ids of all books that a 32-bit field cannot carry."""
        return tuple(self.ids[self.ids > LARGEST_INT32].tolist())

    def positions(self, book_ids: Sequence[int]) -> NDArray[np.int32]:
        """Return the positions of those books that have one, in the given order."""
        known = map(self._position_of, book_ids)
        return np.array([position for position in known if position is not None], dtype=np.int32)

    def positions_of_array(self, book_ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the position of each book id, -1 where there is none; for arrays of any length."""
        places, known = _places(self._pages.ids, book_ids)
        found = np.where(known, places, -1).astype(np.int32)
        if self._added:
            ids, positions = self._ascending_added
            places, known = _places(ids, book_ids)
            found[known] = positions[places[known]]
        return found

    @cached_property
    def _ascending_added(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        added = sorted(self._added.items())
        return (
            np.array([book_id for book_id, _ in added], dtype=np.int64),
            np.array([position for _, position in added], dtype=np.int32),
        )

    def wanted(self, slugs: Sequence[str], field: str = "categories") -> NDArray[np.uint64]:
        """Return the bits of which a book must have one; raise InvalidInput for unknown slugs."""
        if not slugs:
            return self._wanted_any
        if len(slugs) == 1 and (kept := self._wanted.get(slugs[0])) is not None:
            return kept
        unknown = [slug for slug in slugs if slug not in self._book_counts]
        if unknown:
            raise InvalidInput.of(field, f"{quoted(unknown[0])} is not a category of the catalogue")
        words = self._words([self._bit_of[slug] for slug in slugs])
        if len(slugs) == 1:
            self._wanted[slugs[0]] = words  # as many as there are categories
        return words

    def clauses(
        self, slugs: Sequence[str], *, every: bool = False, languages: Sequence[str] = ()
    ) -> NDArray[np.uint64]:
        """Return rows of bits; a book must have one of every row. Raise InvalidInput as `wanted`.

        The books are in one of the categories, or with `every` in all of them, and in one of the languages;
        none of these means any.
        """
        if not languages and len(slugs) <= 1:
            if not slugs:
                return self._clause_any
            kept = self._clauses.get(slugs[0])
            if kept is None:
                # As many as there are categories.
                kept = self._clauses[slugs[0]] = _readonly(self.wanted(slugs).reshape(1, -1))
            return kept
        wanted = self.wanted(slugs)
        rows = [self.wanted([slug]) for slug in slugs] if every and slugs else [wanted]
        if languages:
            rows.append(self._words(bit for slug, bit in self._bit_of.items() if _is_one_of(slug, languages)))
        return _readonly(np.array(rows))

    def with_books(self, books: Iterable[Book]) -> "Catalogue":
        """Return a catalogue in which these books are new or replace those of the same id.

        Costs a copy of the arrays of all positions, however few the books are.
        """
        put: dict[int, Book | None] = {}
        added = dict(self._added)
        for book in books:
            position = self._position_of(book.id)
            if position is None:
                position = added.setdefault(book.id, len(self._page_ids) + len(added))
            put[position] = book
        return self._changed_by(put, added)

    def without(self, book_ids: Iterable[int]) -> "Catalogue":
        """Return a catalogue without these books; ids that are not there change nothing."""
        positions = map(self._position_of, book_ids)
        return self._changed_by(dict.fromkeys(each for each in positions if each is not None), self._added)

    def _changed_by(self, put: dict[int, Book | None], added: dict[int, int]) -> "Catalogue":
        counts = list(self._counts)
        numbers = {slug: number for number, slug in enumerate(self._slugs)}
        bits_of: dict[int, list[int]] = {}
        for position, book in put.items():
            before = self.at(position) if position < len(self) else None
            for slug in shelves_of(before) if before else ():
                counts[numbers[slug]] -= 1
            for slug in shelves_of(book) if book else ():
                number = numbers.setdefault(slug, len(numbers))
                counts += [0] * (len(numbers) - len(counts))
                counts[number] += 1
            bits_of[position] = (
                [ANY_BIT, *(ANY_BIT + 1 + numbers[slug] for slug in shelves_of(book))] if book else []
            )

        changed = Catalogue.__new__(Catalogue)
        changed._pages = self._pages
        changed._page_ids, changed._offsets, changed._texts = self._page_ids, self._offsets, self._texts
        changed._changed = self._changed | put
        changed._added, changed._slugs, changed._counts = added, tuple(numbers), counts
        new_ids = list(added)[len(self._added) :]  # in the order of their positions
        words = max(self.category_bits.shape[1], word_count(len(numbers)))
        category_bits = np.zeros((len(self) + len(new_ids), words), dtype=np.uint64)
        category_bits[: len(self), : self.category_bits.shape[1]] = self.category_bits
        changed._complete(
            np.append(self.ids, np.array(new_ids, dtype=np.int64)) if new_ids else self.ids,
            category_bits,
            self._traits_with(put),
        )
        for position, bits in bits_of.items():
            category_bits[position] = changed._words(bits)
        return changed

    def _traits_with(self, put: dict[int, Book | None]) -> Traits:
        # A deleted book has none: it neither stands before a volume nor for its work. New ones come last.
        positions = sorted(put)
        traits = Traits.of([put[position] or _NO_BOOK for position in positions])
        old = int(np.searchsorted(positions, len(self)))
        changed = self.traits
        if old:
            changed = changed.replaced(np.array(positions[:old], dtype=np.int32), traits.take(slice(old)))
        return changed if old == len(positions) else changed.followed_by(traits.take(slice(old, None)))


_NO_BOOK = Book(0, "")


def _is_one_of(slug: str, languages: Sequence[str]) -> bool:
    return slug.startswith(LANGUAGE) and any(is_in_language(slug, wanted) for wanted in languages)


def _readonly(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
    array.flags.writeable = False
    return array


def _places(
    ascending: NDArray[np.int64], ids: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return where each id stands among others, and whether it does."""
    places = np.searchsorted(ascending, ids)
    known = places < len(ascending)
    known[known] = ascending[places[known]] == ids[known]
    return places, known
