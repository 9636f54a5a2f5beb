"""Books and interactions out of files, all of a file or nothing; knows nothing of where they are stored.

`Store` is what it needs of a database. `BOOK_COLUMNS` and `INTERACTION_COLUMNS` document the columns.
"""

from service.importing.books import import_books
from service.importing.columns import BOOK_COLUMNS, INTERACTION_COLUMNS, Column, column_table
from service.importing.interactions import import_interactions
from service.importing.problems import BadRow, ImportFailed, ImportReport
from service.importing.sink import Sink, Store
from service.importing.sources import FORMATS

__all__ = [
    "BOOK_COLUMNS",
    "FORMATS",
    "INTERACTION_COLUMNS",
    "BadRow",
    "Column",
    "ImportFailed",
    "ImportReport",
    "Sink",
    "Store",
    "column_table",
    "import_books",
    "import_interactions",
]
