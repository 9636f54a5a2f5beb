"""Importing books: each row becomes a book that keeps the domain's rules; knows no format and no database."""

from collections.abc import Sequence
from pathlib import Path

from service.domain.books import Book, book_violations, quoted
from service.importing import values
from service.importing.chunks import Chunk
from service.importing.columns import BOOK_COLUMNS
from service.importing.problems import BadRow, BadValue, ImportReport
from service.importing.rules import broken_rule
from service.importing.run import Progress, run
from service.importing.sink import Sink, Store
from service.importing.sources import format_of

# A book has to stand on some shelf.
DEFAULT_CATEGORY = "general"


def import_books(
    path: Path | str,
    store: Store,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Import a file of books, all of it or, where it is refused, nothing; a book of a known id is replaced.

    `format` is one of FORMATS, by default told by the file's ending. A bad row refuses the file, unless
    `skip_bad` leaves such rows out and reports them. `progress` is called with the bytes done and in total.
    Raises ImportFailed, one line, and what the store raises.
    """
    path = Path(path)
    layout = format_of(path, format)
    return run(path, store, layout, BOOK_COLUMNS, _Books, skip_bad=skip_bad, progress=progress)


class _Books:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._seen: set[int] = set()
        self._inserted = self._replaced = 0

    def sort(self, chunk: Chunk) -> tuple[list[Book], list[BadRow]]:
        accepted: list[Book] = []
        refused: list[BadRow] = []
        places: Sequence[int] = ()
        rows = zip(*chunk.columns, strict=True)
        for number, row in enumerate(rows):
            try:
                book = _book(row)
                if book.id in self._seen:
                    raise BadValue("id", quoted(book.id), "is there twice")
                self._seen.add(book.id)
                accepted.append(book)
            except BadValue as bad:
                places = places or chunk.places()
                refused.append(bad.at(places[number], chunk.unit))
        return accepted, refused

    def keep(self, accepted: Sequence[Book]) -> None:
        inserted, replaced = self._sink.add_books(accepted)
        self._inserted += inserted
        self._replaced += replaced

    def finish(self) -> tuple[int, int]:
        return self._inserted, self._replaced


def _book(row: Sequence[object]) -> Book:
    values.require(BOOK_COLUMNS, row)
    book_id, title, authors, year, language, series, position, work_id, categories = row
    book = Book(
        id=values.whole_number("id", book_id),
        title=values.text("title", title),
        authors=values.texts("authors", authors),
        year=0 if values.is_absent(year) else values.whole_number("year", year),
        language=values.text("language", language),
        series=values.text("series", series),
        series_position=0.0 if values.is_absent(position) else values.number("series_position", position),
        work_id=0 if values.is_absent(work_id) else values.whole_number("work_id", work_id),
        categories=values.texts("categories", categories) or (DEFAULT_CATEGORY,),
    )
    for violation in book_violations(book):
        raise broken_rule(violation, book, BOOK_COLUMNS, row)
    return book
