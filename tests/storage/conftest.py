"""Migrated databases of the test's own: SQLite files, and databases of a real PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.storage import Database, migrate
from tests.postgres import PostgresServer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The database file."""
    return tmp_path / "shop.db"


@pytest.fixture
def url(path: Path) -> str:
    """Its URL; the schema is there."""
    migrate(f"sqlite:///{path}")
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> str:
    """A PostgreSQL database with the schema, to be copied."""
    name = postgres.create_database()
    migrate(postgres.url(name), password_file=postgres.password_file)
    return name


@pytest.fixture
def database(each_database) -> Iterator[Database]:
    """A database without rows, open; a test that takes it runs with each product."""
    with Database.open(each_database[0], password_file=each_database[1]) as opened:
        yield opened


@pytest.fixture
def sqlite_database(url: str) -> Iterator[Database]:
    """A SQLite database without rows, open."""
    with Database.open(url) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def each_database(request) -> tuple[str, Path | None]:
    """URL and password file of a migrated database; a test that takes it runs with each product."""
    if request.param == "sqlite":
        return request.getfixturevalue("url"), None
    server = request.getfixturevalue("postgres")
    return server.url(server.create_database(request.getfixturevalue("migrated"))), server.password_file
