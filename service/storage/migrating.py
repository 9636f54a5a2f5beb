"""Bringing a database to this release's schema, and telling whether it is there; knows no rows."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from service.storage import sqlite
from service.storage.address import file_of
from service.storage.errors import StorageError
from service.storage.schema import SCHEMA_VERSION, VERSION_TABLE

_SCRIPTS = Path(__file__).with_name("migrations")


def migrate(url: str) -> None:
    """Make the database, or bring its schema up to this release's; all of it or nothing.

    Raises StorageError for a database that is damaged, of a newer release, or not this program's.
    """
    from alembic import command  # needed here alone and slow to import
    from alembic.config import Config

    path = file_of(url)
    if not path.parent.is_dir():
        raise StorageError(f"database {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise StorageError(f"database {path} is a folder; name a file in it")
    engine = sqlite.engine_for(path, create=True)
    try:
        # One that migrates at the same time is waited for at BEGIN, then found done.
        with engine.execution_options(writes=True).begin() as connection:
            _refuse_foreign(connection, path)
            config = Config()
            config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        reason = sqlite.is_unwritable(error.orig)
        if reason:
            raise StorageError(f"database {path} {reason}") from error
        raise sqlite.explain(error.orig, path) or error from error
    finally:
        engine.dispose()


def require_current(connection: Connection, path: Path) -> None:
    """Raise StorageError unless the database has exactly this release's schema."""
    version = _version(connection, path)
    if version is None:
        raise StorageError(f"database {path} has no tables yet; run `recommendations migrate`")
    if version < SCHEMA_VERSION:
        raise StorageError(
            f"database {path} has schema {version}, older than this release's {SCHEMA_VERSION};"
            " run `recommendations migrate`"
        )
    _refuse_newer(version, path)


def _refuse_foreign(connection: Connection, path: Path) -> None:
    version = _version(connection, path)
    if version is not None:
        _refuse_newer(version, path)
    elif tables := inspect(connection).get_table_names():
        raise StorageError(
            f"database {path} belongs to another program (it has a table {tables[0]}); name another file"
        )


def _refuse_newer(version: str, path: Path) -> None:
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"database {path} has schema {version}, newer than this release's {SCHEMA_VERSION};"
            " use the release that made it, or a newer one"
        )


def _version(connection: Connection, path: Path) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    versions = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()  # noqa: S608 - a constant
    # Ours are four digits, so that they compare as texts.
    if len(versions) != 1 or len(versions[0]) != len(SCHEMA_VERSION) or not versions[0].isdecimal():
        raise StorageError(
            f"database {path} belongs to another program (schema {', '.join(versions) or 'unnamed'});"
            " name another file"
        )
    return versions[0]
