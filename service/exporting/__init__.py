"""Books and interactions into files that importing reads, a file whole or not at all; knows no database."""

from service.exporting.columns import BOOK_COLUMNS, INTERACTION_COLUMNS
from service.exporting.problems import ExportFailed
from service.exporting.run import export_books, export_interactions
from service.exporting.targets import FORMATS, STREAMED_FORMATS, format_of

__all__ = [
    "BOOK_COLUMNS",
    "FORMATS",
    "INTERACTION_COLUMNS",
    "STREAMED_FORMATS",
    "ExportFailed",
    "export_books",
    "export_interactions",
    "format_of",
]
