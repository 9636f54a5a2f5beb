"""Books and interactions for tests."""

from service.domain.books import Book
from service.domain.interactions import Interaction, InteractionType


def book(number: int, **fields: object) -> Book:
    """Make a book that breaks no rule."""
    return Book(id=number, title=f"Book {number}", categories=("mystery",), **fields)  # type: ignore[arg-type]


def read(name: str, reader: int = 1, of: int = 1) -> Interaction:
    """Make an interaction that breaks no rule."""
    return Interaction(name, reader, of, InteractionType.READ, 1_700_000_000_000_000)
