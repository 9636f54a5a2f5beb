"""The sample bookshop: real books and made-up readers; knows nothing of storage or of where it is loaded.

`books.csv` has the columns that `recommendations import` takes for books:

    id               1, 2, 3 ... without gaps
    title            as books are called, without the long subtitles of old title pages
    authors          joined by ";"; a person has one name, whatever the language of the edition
    year             first publication of the work as reference works date it, for its translations too; a
                     revised edition has its own. Ancient plays: first performance, negative for BCE
    language         BCP 47 tag of the text
    series           name of the series, empty for none
    series_position  place in the series, empty where there is no agreed one
    work_id          the id of the work's first edition in this file, empty for a work with one edition here
    categories       slugs joined by ";"

All were first published before 1931, so they are in the public domain in the United States of America (those
of 1930 since 2026).
"""

import csv
import importlib.resources

from service.domain.books import Book
from service.sample.taste import sample_interactions

__all__ = ["sample_books", "sample_interactions"]


def sample_books() -> list[Book]:
    """Read the sample catalogue, in the order of its ids."""
    text = importlib.resources.files(__name__).joinpath("books.csv").read_text(encoding="utf-8")
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
        for row in csv.DictReader(text.splitlines())
    ]
