"""A database that can be away, a journal, and a ledger on both."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.recommender import Recommender
from service.journal import Journal
from service.ledger import Ledger
from service.storage import Database, migrate
from tests.domain.shop import book, log_of
from tests.ledger.stores import Store

MEBIBYTE = 1 << 20


@pytest.fixture(scope="session")
def migrated(tmp_path_factory) -> Path:
    """A SQLite file with the schema, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "shop.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(migrated, tmp_path) -> Iterator[Store]:
    path = Path(shutil.copy(migrated, tmp_path / "shop.db"))
    with Database.open(f"sqlite:///{path}") as database:
        yield Store(path, database)


@pytest.fixture
def directory(tmp_path) -> Path:
    """The journal's directory."""
    return tmp_path / "journal"


@pytest.fixture
def journal(store, directory) -> Iterator[Journal]:
    with Journal(directory, store.database.identity, MEBIBYTE) as opened:
        opened.mark = store.mark
        yield opened


@pytest.fixture
def recommender() -> Recommender:
    return Recommender.of([book(1), book(2)], log_of())


@pytest.fixture
def ledger(store, recommender, journal) -> Ledger:
    made = Ledger(store, recommender, journal)
    made.note_mark(store.mark)
    return made
