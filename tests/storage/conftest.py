"""A migrated database in a file of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.storage import Database, migrate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The database file."""
    return tmp_path / "shop.db"


@pytest.fixture
def url(path: Path) -> str:
    """Its URL; the schema is there."""
    migrate(f"sqlite:///{path}")
    return f"sqlite:///{path}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """It, open and without rows."""
    with Database.open(url) as opened:
        yield opened
