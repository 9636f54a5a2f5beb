"""Several services on one database: SQLite, or a PostgreSQL server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.storage import Database, migrate
from service.storage.exported_rows import interaction_rows
from tests.postgres import PostgresServer
from tests.world import RunningApp, Shop


def copy_books(shop: Shop, server: PostgresServer) -> dict[str, object]:
    """Put a shop's books and readers into a database of a server; return the settings that name it."""
    url = server.url(server.create_database())
    migrate(url, password_file=server.password_file)
    with (
        Database.open(shop.url) as there,
        Database.open(url, password_file=server.password_file) as here,
        there.reading() as reading,
    ):
        here.upsert_books(list(reading.books()))
        with here.bulk() as bulk:
            for rows in interaction_rows(reading):
                bulk.add_interactions(rows)
    return {"database_url": url, "database_password_file": server.password_file}


@pytest.fixture(params=["sqlite", "postgresql"])
def replicas(request, shop, start, tmp_path) -> Callable[[int], list[RunningApp]]:
    """Start so many services on one database, each with a mirror of its own."""
    database = {}
    if request.param == "postgresql":
        database = copy_books(shop, request.getfixturevalue("postgres"))

    def start_some(count: int) -> list[RunningApp]:
        return [
            start(shop, mirror_directory=Path(tmp_path, f"mirror-{number}"), follow_seconds=0.1, **database)
            for number in range(count)
        ]

    return start_some
