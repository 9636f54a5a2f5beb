"""A book and the rules it keeps; knows nothing of where books are stored."""

import re
from typing import NamedTuple

from service.domain.errors import Violation

LARGEST_ID = 2**63 - 1
LONGEST_TITLE = 500  # characters; the longest title in print fits, a pasted page does not
MOST_AUTHORS = 20
LONGEST_AUTHOR = 200
EARLIEST_YEAR, LATEST_YEAR = -3000, 2100
LONGEST_SERIES = 200
LARGEST_SERIES_POSITION = 10_000
MOST_CATEGORIES = 20

# BCP 47 allows 35 characters for any tag without private extensions.
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# What a terminal or a log line could be tricked with.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Book(NamedTuple):  # quicker to make than a frozen dataclass, and a large shop decodes ten an answer
    """A book of the catalogue; fields as in the v1 contract's Book."""

    id: int
    title: str
    authors: tuple[str, ...] = ()
    year: int = 0
    language: str = ""
    series: str = ""
    series_position: float = 0.0
    work_id: int = 0
    categories: tuple[str, ...] = ()


def is_slug(text: str) -> bool:
    """Tell whether a text can name a category: lower-case letters, digits, single hyphens, 1 to 64."""
    return len(text) <= 64 and _SLUG.fullmatch(text) is not None


def quoted(value: object) -> str:
    """Show a refused value in an error: in quotes when a text, at most 60 characters of it."""
    if isinstance(value, str):
        shown = value if len(value) <= 60 else value[:57] + "..."
        return '"' + _CONTROL.sub("?", shown) + '"'
    return str(value)


def book_violations(book: Book, path: str = "") -> list[Violation]:
    """List every rule that a book breaks; `path` leads the field names, as in "books[3]."."""
    found: list[Violation] = []

    def refuse(field: str, value: object, rule: str) -> None:
        found.append(Violation(path + field, f"{quoted(value)} {rule}"))

    def check_text(field: str, text: str, longest: int, *, required: bool) -> None:
        if required and not text.strip():
            refuse(field, text, "is empty")
        elif len(text) > longest:
            refuse(field, text, f"is longer than {longest} characters")
        elif _CONTROL.search(text):
            refuse(field, text, "has control characters")

    if not 1 <= book.id <= LARGEST_ID:
        refuse("id", book.id, f"is not between 1 and {LARGEST_ID}")
    check_text("title", book.title, LONGEST_TITLE, required=True)
    if len(book.authors) > MOST_AUTHORS:
        refuse("authors", len(book.authors), f"authors are more than {MOST_AUTHORS}")
    else:
        for index, author in enumerate(book.authors):
            check_text(f"authors[{index}]", author, LONGEST_AUTHOR, required=True)
    if not EARLIEST_YEAR <= book.year <= LATEST_YEAR:
        refuse("year", book.year, f"is not between {EARLIEST_YEAR} and {LATEST_YEAR}")
    if book.language and (len(book.language) > 35 or not _LANGUAGE.fullmatch(book.language)):
        refuse("language", book.language, 'is not a BCP 47 tag such as "en" or "pt-BR"')
    check_text("series", book.series, LONGEST_SERIES, required=False)
    if not 0 <= book.series_position <= LARGEST_SERIES_POSITION:  # also refuses NaN
        refuse("series_position", book.series_position, f"is not between 0 and {LARGEST_SERIES_POSITION}")
    if not 0 <= book.work_id <= LARGEST_ID:
        refuse("work_id", book.work_id, f"is not between 0 and {LARGEST_ID}")
    if not 1 <= len(book.categories) <= MOST_CATEGORIES:
        refuse("categories", len(book.categories), f"categories are not between 1 and {MOST_CATEGORIES}")
    else:
        for index, slug in enumerate(book.categories):
            if not is_slug(slug):
                refuse(
                    f"categories[{index}]",
                    slug,
                    "is not a slug of 1 to 64 lower-case letters, digits and single hyphens",
                )
            elif slug in book.categories[:index]:
                refuse(f"categories[{index}]", slug, "is there twice")
    return found
