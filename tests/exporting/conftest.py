"""Databases to export from and import into, of both products."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.storage import Database, migrate
from tests.postgres import PostgresServer


class Emptied:
    """A migrated database that can be emptied again and again."""

    def __init__(self, database: Database, empty: Callable[[], None]) -> None:
        self.database, self.empty = database, empty


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def emptied(request, tmp_path_factory):
    """A database of each product; a test empties it before it uses it."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("exporting") / "shop.db"
        url, password_file = f"sqlite:///{path}", None

        def empty() -> None:
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("DELETE FROM interactions")
                connection.execute("DELETE FROM books")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        name = server.create_database()
        url, password_file = server.url(name), server.password_file

        def empty() -> None:
            with server.connect(name) as connection:
                connection.execute("TRUNCATE interactions, books")

    migrate(url, password_file=password_file)
    with Database.open(url, password_file=password_file) as database:
        yield Emptied(database, empty)


@pytest.fixture
def folder(tmp_path: Path):
    """A folder for files, empty again at the end."""
    folder = tmp_path / "files"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)
