"""What a recommender is asked, and what it answers; knows not how answers come about."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from service.domain.books import Book


class Strategy(StrEnum):  # of texts: hashing a member of a plain Enum runs Python code
    """How an answer came about; see the v1 contract's Strategy."""

    PERSONAL = "personal"
    STALE = "stale"
    SESSION = "session"
    POPULAR = "popular"
    DEGRADED = "degraded"


@dataclass(slots=True)
class Query:
    """What is asked for: a reader (0: none), or a session's recent books, oldest first."""

    reader_id: int = 0
    recent_book_ids: Sequence[int] = ()
    categories: Sequence[str] = ()
    every_category: bool = False  # books in all of the categories; else in one of them
    languages: Sequence[str] = ()  # BCP 47; none: any
    exclude_book_ids: Sequence[int] = ()
    include_read: bool = False
    any_edition: bool = False  # several editions of a work, and other editions of what was read
    any_volume: bool = False  # volumes whose earlier ones were not read
    most_per_author: int = 0  # 0: any number
    diversity: float = 0.0  # 0: by score alone, to 1
    explain: bool = False
    places: int = 10
    shown: Sequence[int] = ()  # ids of the pages before, each once, in any order

    def filters(self) -> tuple[object, ...]:
        """Return all that shapes the list, but for where the page begins and how long it is."""
        return (
            self.reader_id,
            tuple(self.recent_book_ids),
            tuple(self.categories),
            self.every_category,
            tuple(self.languages),
            tuple(self.exclude_book_ids),
            self.include_read,
            self.any_edition,
            self.any_volume,
            self.most_per_author,
            self.diversity,
        )


class Part(NamedTuple):
    """What one book of a history adds to a score by neighbours."""

    book_id: int
    title: str  # empty where that book has left the catalogue
    share: float


class Suggestion(NamedTuple):  # quicker to make than a frozen dataclass, and each answer makes ten
    """One book of an answer, and the book that speaks for it most (id 0: none, it is popular)."""

    book: Book
    score: float
    because_id: int = 0
    because_title: str = ""  # empty where that book has left the catalogue
    share: float = 0.0  # the part of the score by neighbours that it gave, 0 to 1
    # Where reasons in full were asked for.
    volume_before: Part | None = None  # the book is the next of a series after this one, which was read
    parts: tuple[Part, ...] = ()  # the largest, largest first


class Answer(NamedTuple):
    """Suggestions, best first."""

    suggestions: list[Suggestion]
    strategy: Strategy
    filled: int  # how many at the end are there for their popularity alone
    more: bool  # whether there are places behind these
    model_version: str
