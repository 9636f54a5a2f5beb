"""The sample bookshop: real books in the public domain and made-up readers; knows nothing of storage or of files
other than its own.

`books.csv` has the columns that `recommendations import` takes for books:

    id               1, 2, 3 ... without gaps
    title            as on the title page, shortened where the long form is never used
    authors          one name a person throughout, whatever the language of the edition; joined by ";"
    year             first publication of the work (for a translation too, for a revision its own): the first
                     book edition, for a single tale or a serial the magazine's; for ancient plays the first
                     performance, negative for BCE
    language         BCP 47 tag of the text
    series           name of the series, empty for none
    series_position  place in the series, empty where unknown
    work_id          the id of the work's first edition in this file, empty for a work with one edition here
    categories       slugs joined by ";", the most telling first

All were published before 1931 and are in the public domain in the United States of America since 2026 at the latest.
"""

import csv
import importlib.resources

from service.domain.books import Book
from service.sample.taste import sample_interactions

__all__ = ["sample_books", "sample_interactions"]


def sample_books() -> list[Book]:
    """Read the sample catalogue, in the order of its ids."""
    source = importlib.resources.files(__name__).joinpath("books.csv")
    with source.open(encoding="utf-8", newline="") as lines:
        return [
            Book(
                id=int(row["id"]),
                title=row["title"],
                authors=tuple(row["authors"].split(";")),
                year=int(row["year"]),
                language=row["language"],
                series=row["series"],
                series_position=float(row["series_position"] or 0),
                work_id=int(row["work_id"] or 0),
                categories=tuple(row["categories"].split(";")),
            )
            for row in csv.DictReader(lines)
        ]
