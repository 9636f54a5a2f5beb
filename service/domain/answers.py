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
    exclude_book_ids: Sequence[int] = ()
    include_read: bool = False
    places: int = 10
    skip: int = 0  # places before the first one wanted


class Suggestion(NamedTuple):  # quicker to make than a frozen dataclass, and each answer makes ten
    """One book of an answer, and the book that speaks for it most (id 0: none, it is popular)."""

    book: Book
    score: float
    because_id: int = 0
    because_title: str = ""  # empty where that book has left the catalogue
    share: float = 0.0  # the part of the score that it gave, 0 to 1


class Answer(NamedTuple):
    """Suggestions, best first."""

    suggestions: list[Suggestion]
    strategy: Strategy
    filled: int  # how many at the end are there for their popularity alone
    more: bool  # whether there are places behind these
    model_version: str
