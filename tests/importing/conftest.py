"""A database with a few books, and files to import into it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.domain.books import Book
from service.storage import Database, migrate


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database whose catalogue has the books 1 to 9."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    migrate(url)
    with Database.open(url) as opened:
        opened.upsert_books([Book(id=n, title=f"Book {n}", categories=("mystery",)) for n in range(1, 10)])
        yield opened


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file and return its path."""

    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written
