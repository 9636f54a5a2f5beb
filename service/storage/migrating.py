"""Bringing a database to this release's schema, and telling whether it is there; knows no rows."""

from pathlib import Path
from types import ModuleType

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from service.storage.errors import StorageError
from service.storage.products import product_of
from service.storage.schema import SCHEMA_VERSION, VERSION_TABLE

_SCRIPTS = Path(__file__).with_name("migrations")


def migrate(url: str, *, password_file: Path | None = None, connect_seconds: float = 5.0) -> None:
    """Make the tables, or bring the schema up to this release's; all of it or nothing.

    Raises DatabaseAway where the database cannot be reached now, StorageError where it is damaged, of a newer
    release, or not this program's. One that migrates at the same time is waited for, then found done.
    """
    from alembic import command  # needed here alone and slow to import
    from alembic.config import Config

    product = product_of(url, create=True, password_file=password_file, connect_seconds=connect_seconds)
    try:
        with product.migrating() as connection:
            _refuse_foreign(connection, product.label)
            config = Config()
            config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            product.rows.adopt(connection)
    except DBAPIError as error:
        raise product.refusal(error.orig) or error from error
    except Exception as error:
        raise product.refusal(error) or error from error
    finally:
        product.close()


def require_current(connection: Connection, label: str, rows: ModuleType) -> None:
    """Raise StorageError unless the database has exactly this release's schema, and its rows are its own."""
    version = _version(connection, label)
    if version is None:
        raise StorageError(f"{label} has no tables yet; run `recommendations migrate`")
    if version < SCHEMA_VERSION:
        raise StorageError(
            f"{label} has schema {version}, older than this release's {SCHEMA_VERSION};"
            " run `recommendations migrate`"
        )
    _refuse_newer(version, label)
    if rows.is_foreign(connection):
        raise StorageError(f"{label} was restored from another server's dump; run `recommendations migrate`")


def _refuse_foreign(connection: Connection, label: str) -> None:
    version = _version(connection, label)
    if version is not None:
        _refuse_newer(version, label)
    elif tables := inspect(connection).get_table_names():
        raise StorageError(
            f"{label} belongs to another program (it has a table {tables[0]}); name another database"
        )


def _refuse_newer(version: str, label: str) -> None:
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"{label} has schema {version}, newer than this release's {SCHEMA_VERSION};"
            " use the release that made it, or a newer one"
        )


def _version(connection: Connection, label: str) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    versions = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()  # noqa: S608 - a constant
    # Ours are four digits, so that they compare as texts.
    if len(versions) != 1 or len(versions[0]) != len(SCHEMA_VERSION) or not versions[0].isdecimal():
        raise StorageError(
            f"{label} belongs to another program (schema {', '.join(versions) or 'unnamed'});"
            " name another database"
        )
    return versions[0]
