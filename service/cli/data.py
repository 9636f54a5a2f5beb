"""`migrate` and `import`: the database and what goes into it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from service.cli.console import progress
from service.settings import Settings

_FILE = click.Path(path_type=Path)
_FORMAT = click.option(
    "--format",
    "layout",
    type=click.Choice(["csv", "jsonl", "parquet"]),
    help="Layout of the file.  [default: by its ending]",
)
_SKIP_BAD = click.option("--skip-bad", is_flag=True, help="Leave out bad rows, and count and list them.")


@click.command()
def migrate() -> None:
    """Create the database that RECOMMENDATIONS_DATABASE_URL names, or bring its schema up to date."""
    from service.storage.migrating import migrate as run

    settings = Settings.from_environment(os.environ)
    run(settings.database_url)
    click.echo(f"{settings.describe()['RECOMMENDATIONS_DATABASE_URL']} is up to date")


@click.group("import")
def import_() -> None:
    """Import books or interactions: all of a file or nothing."""
