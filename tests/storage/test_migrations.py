"""The schema's history ends where the program begins, and a migration is all or nothing."""

import itertools
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import service.storage
from service.storage import Database, StorageError, migrate, migrating
from service.storage.products import product_of
from service.storage.schema import SCHEMA_VERSION, metadata
from tests.storage.rows import book, read

SCRIPTS = Path(service.storage.__file__).parent / "migrations"
# What PostgreSQL's tables have beyond, for following.
FOR_FOLLOWING = {
    ("remove_column", "interactions", "transaction_id"),
    ("remove_column", "changes", "transaction_id"),
    ("remove_index", "interactions", "interactions_by_transaction"),
    ("remove_index", "changes", "changes_by_transaction"),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, path) -> tuple[str, Path | None]:
    """URL and password file of a database without tables; a test that takes it runs with each product."""
    if request.param == "sqlite":
        return f"sqlite:///{path}", None
    server = request.getfixturevalue("postgres")
    return server.url(server.create_database()), server.password_file


def inside(where: tuple[str, Path | None], look):
    """Return what a function finds out by a connection, in a transaction."""
    product = product_of(where[0], create=True, password_file=where[1])
    with closing(product), product.writing(patient=False).begin() as connection:
        return look(connection)


def migrate_to_first(where: tuple[str, Path | None]) -> None:
    """Bring a database to the schema of the first release."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    product = product_of(where[0], create=True, password_file=where[1])
    with closing(product), product.migrating() as connection:
        upgrade(connection)


def set_version(connection: Connection, version: str) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def test_the_newest_script_is_the_version_that_opening_asks_for():
    assert ScriptDirectory(str(SCRIPTS)).get_heads() == [SCHEMA_VERSION]


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
def test_migrated_tables_are_those_that_the_program_reads(each_database):
    def compare(connection: Connection) -> set[tuple[str, str, str]]:
        found = set()
        for kind, *details in compare_metadata(MigrationContext.configure(connection), metadata):
            what = details[-1]
            found.add((kind, what.table.name, what.name))
        return found

    of_postgres = not each_database[0].startswith("sqlite")
    assert inside(each_database, compare) == (FOR_FOLLOWING if of_postgres else set())


def test_migrating_again_keeps_the_rows_and_the_identity(each_database):
    url, password_file = each_database
    with Database.open(url, password_file=password_file) as database:
        database.upsert_books([book(1)])
        identity = database.identity
    migrate(url, password_file=password_file)
    with Database.open(url, password_file=password_file) as database:
        assert list(database.books()) == [book(1)]
        assert database.identity == identity


def test_rows_of_the_first_release_are_kept_and_followed(empty):
    migrate_to_first(empty)
    url, password_file = empty
    with pytest.raises(StorageError, match="has schema 0001, older than this release's"):
        Database.open(url, password_file=password_file)

    def fill(connection: Connection) -> None:
        for number in range(1, 4):
            connection.execute(
                text(
                    "INSERT INTO interactions (interaction_id, reader_id, book_id, type, occurred_at,"
                    " recommendation_id) VALUES (:name, :reader, 1, 4, 5, '')"
                ),
                {"name": f"old-{number}", "reader": number},
            )

    inside(empty, fill)
    migrate(url, password_file=password_file)
    with Database.open(url, password_file=password_file) as database:
        assert database.interactions().reader_ids.tolist() == [1, 2, 3]
        assert database.record([read("old-2"), read("new", reader=9)])[0] == 0
        with database.reading() as reading:
            mark = reading.mark
        database.record([read("newer", reader=10)])
        with database.reading() as reading:
            lots = [lot.log.reader_ids.tolist() for lot in reading.news(mark).interactions()]
        assert list(itertools.chain(*lots)) == [10]


def test_the_log_is_write_ahead(url, path):
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_several_migrations_at_once_all_end_well(empty):
    url, password_file = empty
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: migrate(url, password_file=password_file), range(4)))
    Database.open(url, password_file=password_file).close()
    assert inside(empty, lambda connection: connection.scalar(text("SELECT count(*) FROM instance"))) == 1


def test_newer_schema_is_refused_and_left_alone(each_database):
    url, password_file = each_database
    inside(each_database, lambda connection: set_version(connection, "9999"))
    for action in (migrate, Database.open):
        with pytest.raises(StorageError, match="newer than this release's"):
            action(url, password_file=password_file)
    version = text("SELECT version_num FROM alembic_version")
    assert inside(each_database, lambda connection: connection.scalar(version)) == "9999"


def test_database_of_another_program_is_refused_and_left_alone(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER)")
    with pytest.raises(StorageError, match="belongs to another program"):
        migrate(f"sqlite:///{path}")
    tables = sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("notes",)]


@pytest.mark.parametrize("before", ["nothing", "the first release"])
def test_migration_that_fails_halfway_leaves_the_database_as_it_was(empty, before, tmp_path, monkeypatch):
    if before == "the first release":
        migrate_to_first(empty)

    def tables(connection: Connection) -> dict[str, list[str]]:
        found = inspect(connection)
        return {
            name: [column["name"] for column in found.get_columns(name)] for name in found.get_table_names()
        }

    were = inside(empty, tables)
    broken = tmp_path / "migrations"
    (broken / "versions").mkdir(parents=True)
    (broken / "env.py").write_text((SCRIPTS / "env.py").read_text())
    for script in (SCRIPTS / "versions").glob("*.py"):
        (broken / "versions" / script.name).write_text(script.read_text())
    with next((broken / "versions").glob("0002*.py")).open("a") as last:
        last.write("\n    raise OSError('pulled the plug')\n")
    monkeypatch.setattr(migrating, "_SCRIPTS", broken)
    with pytest.raises(OSError, match="plug"):
        migrate(empty[0], password_file=empty[1])
    assert inside(empty, tables) == were
    monkeypatch.undo()
    migrate(empty[0], password_file=empty[1])
    Database.open(empty[0], password_file=empty[1]).close()


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
