"""Books as arrays that can be mapped from files: encoded, numbered, decoded one at a time; knows no files."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.traits import Traits, language_slug

# Every book that may be shown carries this bit, so "any category" is one more category to the kernel.
ANY_BIT = 0

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode  # without the search for blanks around the text


@dataclass(frozen=True, slots=True)
class CataloguePages:
    """n books by ascending id. Arrays may be read-only and mapped; whoever maps them has checked them."""

    ids: NDArray[np.int64]  # [n], strictly ascending
    category_bits: NDArray[np.uint64]  # [n, words]: bit k % 64 of word k // 64 for each category's bit k
    texts: NDArray[np.uint8]  # the encoded books, one behind the other
    offsets: NDArray[np.int64]  # [n + 1], where each begins in `texts`
    traits: Traits  # [n]
    slugs: tuple[str, ...]  # the categories by their number, languages among them
    book_counts: tuple[int, ...]  # of each category, by its number

    @classmethod
    def of(cls, books: Iterable[Book]) -> "CataloguePages":
        """Make pages in memory; of two books with one id the last counts."""
        by_id = {book.id: book for book in books}
        encoder = BookEncoder()
        lot = encoder.encode([by_id[book_id] for book_id in sorted(by_id)])
        return cls(
            lot.ids,
            lot.category_bits(encoder.word_count),
            np.frombuffer(lot.texts, dtype=np.uint8),
            np.append(0, np.cumsum(lot.lengths)),
            lot.traits,
            tuple(encoder.slugs),
            tuple(encoder.book_counts),
        )


class EncodedBooks(NamedTuple):
    """Some books, ready to be put behind others in pages."""

    ids: NDArray[np.int64]  # [k]
    texts: bytes
    lengths: NDArray[np.int64]  # [k], of each book in `texts`
    category_counts: NDArray[np.uint8]  # [k], how many categories each has, its language among them
    categories: NDArray[np.int32]  # their numbers, book by book
    traits: Traits  # [k]

    def category_bits(self, word_count: int) -> NDArray[np.uint64]:
        """Return the bits of each book, [k, words]."""
        return bits_of(self.category_counts, self.categories, word_count)


class BookEncoder:
    """Encodes books in lots and numbers their categories in the order in which they come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.book_counts: list[int] = []

    @property
    def slugs(self) -> list[str]:
        """The categories met so far, by their number."""
        return list(self._numbers)

    @property
    def word_count(self) -> int:
        """How many words the bits of a book take."""
        return word_count(len(self._numbers))

    def encode(self, books: Sequence[Book]) -> EncodedBooks:
        """Encode books, in their order."""
        texts, categories, counts = [], [], []
        numbers, book_counts = self._numbers, self.book_counts
        for book in books:
            own = [numbers.setdefault(slug, len(numbers)) for slug in shelves_of(book)]
            book_counts += [0] * (len(numbers) - len(book_counts))
            for number in own:
                book_counts[number] += 1
            categories += own
            counts.append(len(own))
            texts.append(_encoded(book, own[: len(book.categories)]))
        return EncodedBooks(
            np.array([book.id for book in books], dtype=np.int64),
            b"".join(texts),
            np.array([len(text) for text in texts], dtype=np.int64),
            np.array(counts, dtype=np.uint8),
            np.array(categories, dtype=np.int32),
            Traits.of(books),
        )


def shelves_of(book: Book) -> tuple[str, ...]:
    """Return the categories that a book's bits stand for: its own, and its language where it is known."""
    return (*book.categories, language_slug(book.language)) if book.language else book.categories


def word_count(category_count: int) -> int:
    """Tell how many words of 64 bits hold the bits of so many categories and the one for any."""
    return category_count // 64 + 1


def bits_of(
    category_counts: NDArray[np.uint8], categories: NDArray[np.int32], word_count: int
) -> NDArray[np.uint64]:
    """Return category bits, [k, words], of books with so many categories each, numbered book by book."""
    bits = np.zeros((len(category_counts), word_count), dtype=np.uint64)
    bits[:, 0] = 1 << ANY_BIT
    places = np.repeat(np.arange(len(category_counts)), category_counts) * word_count
    own = categories + (ANY_BIT + 1)
    np.bitwise_or.at(bits.reshape(-1), places + own // 64, np.uint64(1) << (own % 64).astype(np.uint64))
    return bits


def _encoded(book: Book, categories: list[int]) -> bytes:
    text = _encode(
        (
            book.title,
            book.authors,
            book.year,
            book.language,
            book.series,
            book.series_position,
            book.work_id,
            categories,
        )
    )
    return text.encode("utf-8", "surrogatepass")


def decoded(book_id: int, text: memoryview, slugs: Sequence[str]) -> Book:
    """Make the book that was encoded with these categories by their number; takes some microseconds."""
    (title, authors, year, language, series, series_position, work_id, categories), _ = _decode(
        str(text, "utf-8", "surrogatepass")
    )
    return Book(
        book_id,
        title,
        tuple(authors),
        year,
        language,
        series,
        series_position,
        work_id,
        tuple([slugs[number] for number in categories]),
    )
