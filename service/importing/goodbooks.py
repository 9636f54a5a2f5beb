"""The goodbooks-10k layout of books.csv turned into this importer's columns; knows no rules for books.

Used of the file's columns: book_id as id; title without its "(Series, #n)", else original_title; that series
and n; authors, at most 20; original_publication_year; language_code; work_id. Every book goes to the category
"general", unless a file genres.csv stands beside it: a header of slugs, then a line of weights for each book,
in the same order. Errors name this importer's columns.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from service.domain.books import MOST_AUTHORS, MOST_CATEGORIES, is_slug
from service.importing.chunks import Chunk
from service.importing.columns import BOOK_COLUMNS, Column
from service.importing.csv_files import read_csv
from service.importing.problems import ImportFailed

# Other columns of the layout are left alone.
_COLUMNS = (
    Column("book_id", "whole", None, "id"),
    Column("title", "text", None, "title, series and position"),
    Column("original_title", "text", "title", "title where that is empty"),
    Column("authors", "text", "none", 'separated by ","'),
    Column("original_publication_year", "number", "0", "year"),
    Column("language_code", "text", "unknown", "language, ISO 639-2 or BCP 47"),
    Column("work_id", "whole", "0", "work_id"),
)

# "Title (Series, #2)"; also "#1-3" and "#40, Other Series #3", whose own position is not one number.
_TITLE = re.compile(r"(?P<title>.*\S)\s*\((?P<series>[^()#]*[^()#,\s]),?\s*#(?P<position>[^()]*)\)\s*")
_POSITION = re.compile(r"(\d{1,4}(?:\.\d+)?)(?=$|[\s,;:])(?!\s*[-\u2013+])")

# BCP 47 wants the two-letter code where there is one; these are the three-letter ones of the data set.
_LANGUAGES = {
    "ara": "ar",
    "dan": "da",
    "eng": "en",
    "fre": "fr",
    "ger": "de",
    "ind": "id",
    "ita": "it",
    "jpn": "ja",
    "nor": "no",
    "per": "fa",
    "pol": "pl",
    "por": "pt",
    "rum": "ro",
    "rus": "ru",
    "spa": "es",
    "swe": "sv",
    "tur": "tr",
    "vie": "vi",
}

_HEADER_LINES = 1

# Genre weights of a book are scaled to a length of 1; below this they are a few readers' shelves.
_LEAST_WEIGHT = 0.1


def read_goodbooks(path: Path) -> Iterator[Chunk]:
    """Read books.csv of goodbooks-10k as rows of BOOK_COLUMNS; raises ImportFailed."""
    genres = _genres_beside(path)
    last_line = _HEADER_LINES
    for chunk in read_csv(path, _COLUMNS, extra=True):
        lines = chunk.places()
        rows = []
        for line, values in zip(lines, zip(*chunk.columns, strict=True), strict=True):
            place = line - _HEADER_LINES - 1
            rows.append(_adapted(values, genres[place] if genres and place < len(genres) else ()))
        last_line = max([last_line, *lines[-1:], *(bad.place for bad in chunk.broken)])
        columns = list(zip(*rows, strict=True)) or [()] * len(BOOK_COLUMNS)
        yield Chunk(columns, partial(list, lines), chunk.broken, chunk.done_bytes)
    if genres is not None and last_line - _HEADER_LINES != len(genres):
        raise ImportFailed(
            f"{path} ends at line {last_line}, genres.csv beside it at line {len(genres) + _HEADER_LINES};"
            " they have to hold the same books"
        )


def _adapted(values: Sequence[object], genres: Sequence[str]) -> list[object]:
    book_id, full_title, original_title, authors, year, language, work_id = values
    title, series, position = _parted(str(full_title or original_title or ""))
    names = [name.strip() for name in str(authors or "").split(",")]
    code = str(language or "")
    return [
        book_id,
        title,
        [name for name in names if name][:MOST_AUTHORS],
        year,
        _LANGUAGES.get(code, code),
        series,
        position,
        work_id,
        list(genres),
    ]


def _parted(full_title: str) -> tuple[str, str, str]:
    found = _TITLE.fullmatch(full_title)
    if not found:
        return full_title.strip(), "", ""
    position = _POSITION.match(found["position"].strip())
    return found["title"], found["series"].strip(), position[1] if position else ""


def _genres_beside(path: Path) -> list[tuple[str, ...]] | None:
    """Read the categories of every book from genres.csv in the same folder; None where there is none."""
    beside = path.with_name("genres.csv")
    if not beside.is_file():
        return None
    try:
        with beside.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            slugs = next(rows, [])
            if not slugs or not all(is_slug(slug) for slug in slugs):
                raise ImportFailed(f"{beside}: its first line is not a list of category slugs")
            return [_heaviest(slugs, [float(cell) for cell in row]) for row in rows]
    except (ValueError, csv.Error) as error:
        raise ImportFailed(f"{beside} cannot be read as numbers: {error}") from None


def _heaviest(slugs: Sequence[str], weights: Sequence[float]) -> tuple[str, ...]:
    chosen = sorted(
        (-weight, slug) for slug, weight in zip(slugs, weights, strict=True) if weight >= _LEAST_WEIGHT
    )
    return tuple(slug for _, slug in chosen[:MOST_CATEGORIES])
