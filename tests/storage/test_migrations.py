"""The schema's history ends where the program begins, and a migration is all or nothing."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import service.storage
from service.storage import Database, StorageError, migrate, migrating
from service.storage.schema import SCHEMA_VERSION, metadata
from tests.storage.rows import book

SCRIPTS = Path(service.storage.__file__).parent / "migrations"


def test_the_newest_script_is_the_version_that_opening_asks_for():
    assert ScriptDirectory(str(SCRIPTS)).get_heads() == [SCHEMA_VERSION]


def test_migrated_tables_are_those_that_the_program_reads(url):
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_migrating_again_keeps_the_rows(url):
    with Database.open(url) as database:
        database.upsert_books([book(1)])
    migrate(url)
    with Database.open(url) as database:
        assert list(database.books()) == [book(1)]


def test_the_log_is_write_ahead(url, path):
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_several_migrations_at_once_all_end_well(path):
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate, [f"sqlite:///{path}"] * 4))
    Database.open(f"sqlite:///{path}").close()


def test_newer_schema_is_refused_and_left_alone(url, path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match="newer than this release's"):
        migrate(url)
    assert sqlite3.connect(path).execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_database_of_another_program_is_refused_and_left_alone(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER)")
    with pytest.raises(StorageError, match="belongs to another program"):
        migrate(f"sqlite:///{path}")
    tables = sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("notes",)]


def test_migration_that_fails_halfway_leaves_no_table(path, tmp_path, monkeypatch):
    scripts = tmp_path / "migrations"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text((SCRIPTS / "env.py").read_text())
    first = next((SCRIPTS / "versions").glob("0001*.py")).read_text()
    (scripts / "versions" / "0001_broken.py").write_text(first + "    raise OSError('pulled the plug')\n")
    monkeypatch.setattr(migrating, "_SCRIPTS", scripts)
    with pytest.raises(OSError, match="plug"):
        migrate(f"sqlite:///{path}")
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall() == []


@pytest.mark.parametrize(
    ("place", "words"), [("", "is a folder"), ("no/such/folder.db", "there is no folder")]
)
def test_place_that_cannot_hold_a_database_is_refused(tmp_path, place, words):
    with pytest.raises(StorageError, match=words):
        migrate(f"sqlite:///{tmp_path / place}")


def test_file_that_is_no_database_is_refused(path):
    path.write_text("not a database at all\n" * 100)
    with pytest.raises(StorageError, match="is not a SQLite database"):
        migrate(f"sqlite:///{path}")
    assert path.read_text().startswith("not a database")
