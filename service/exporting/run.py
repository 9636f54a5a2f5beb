"""Books and interactions as lots of rows into one file; knows neither the formats nor the database."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from service.domain.books import Book
from service.domain.interactions import InteractionType
from service.exporting.columns import BOOK_COLUMNS, INTERACTION_COLUMNS, Column, Lot
from service.exporting.targets import whole_file
from service.exporting.text_files import write_csv, write_jsonl

# interaction_id, reader_id, book_id, type, rating, occurred_at (microseconds since 1970), recommendation_id
InteractionRow = tuple[str, int, int, int, float | None, int, str]

# Called with the number of rows written so far.
Progress = Callable[[int], None]

# Enough to make each step's own cost small; the largest books make some megabytes of it.
_BOOKS_A_LOT = 1_000

_book_values = attrgetter(*(column.name for column in BOOK_COLUMNS))
_TYPE_NAMES = {int(kind): kind.name for kind in InteractionType}


def export_books(
    books: Iterable[Book],
    target: Path | BinaryIO,
    *,
    format: str,
    force: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write books to a file, whole or not at all, or to a stream; returns how many.

    `format` is one of FORMATS, for a stream of STREAMED_FORMATS. A file that is there already is replaced
    with `force` alone. Raises ExportFailed, one line, and for a stream OSError.
    """
    lots = _book_lots(iter(books))
    return _export(BOOK_COLUMNS, lots, target, format, force, progress)


def export_interactions(
    rows: Iterable[Sequence[InteractionRow]],
    target: Path | BinaryIO,
    *,
    format: str,
    force: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write lots of interactions, in their order; parameters, result and errors as of `export_books`."""
    lots = (_interaction_lot(lot) for lot in rows if lot)
    return _export(INTERACTION_COLUMNS, lots, target, format, force, progress)


def _export(
    columns: Sequence[Column],
    lots: Iterable[Lot],
    target: Path | BinaryIO,
    layout: str,
    force: bool,
    progress: Progress | None,
) -> int:
    count = 0

    def counted() -> Iterator[Lot]:
        nonlocal count
        for lot in lots:
            yield lot
            count += len(lot[0])
            if progress is not None:
                progress(count)

    with whole_file(target, force=force) if isinstance(target, Path) else nullcontext(target) as file:
        if layout == "csv":
            write_csv(file, columns, counted())
        elif layout == "jsonl":
            write_jsonl(file, columns, counted())
        else:
            from service.exporting.parquet_files import write_parquet  # pyarrow is slow to import

            write_parquet(file, columns, counted())
    return count


def _book_lots(books: Iterator[Book]) -> Iterator[Lot]:
    while lot := list(islice(books, _BOOKS_A_LOT)):
        yield list(zip(*map(_book_values, lot), strict=True))


def _interaction_lot(rows: Sequence[InteractionRow]) -> Lot:
    names, reader_ids, book_ids, kinds, ratings, moments, origins = zip(*rows, strict=True)
    return [reader_ids, book_ids, [_TYPE_NAMES[kind] for kind in kinds], ratings, moments, names, origins]
