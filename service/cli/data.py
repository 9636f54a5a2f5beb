"""`migrate` and `import`: the database and what goes into it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.console import complain, progress
from service.settings import Settings

if TYPE_CHECKING:
    from service.importing import ImportReport
    from service.storage import Database

_BOOK_LAYOUTS = ("csv", "jsonl", "parquet", "goodbooks")
_INTERACTION_LAYOUTS = ("csv", "jsonl", "parquet")


@click.command()
def migrate() -> None:
    """Create the database that RECOMMENDATIONS_DATABASE_URL names, or bring its schema up to date."""
    from service.storage import migrate as run

    settings = Settings.from_environment(os.environ)
    run(settings.database_url)
    click.echo(f"{settings.describe()['RECOMMENDATIONS_DATABASE_URL']} is up to date")


@click.group("import")
def import_() -> None:
    """Import books or interactions from files: all of a file, or nothing.

    Books come first: interactions are with books of the catalogue. A running service sees what was
    imported when it is started anew.
    """


def _file_options(layouts: tuple[str, ...]) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        command = click.option("--skip-bad", is_flag=True, help="Leave out bad rows; count and list them.")(
            command
        )
        command = click.option(
            "--format",
            "layout",
            type=click.Choice(layouts),
            help="Layout of the file.  [default: by its ending]",
        )(command)
        return click.argument("file", type=click.Path(path_type=Path))(command)

    return add


@import_.command("books")
@_file_options(_BOOK_LAYOUTS)
def import_books(file: Path, layout: str | None, skip_bad: bool) -> None:
    """Import books from FILE: CSV with a header, JSON Lines, Parquet or the goodbooks-10k catalogue.

    A book whose id is there already is replaced. `recommendations import columns` lists the columns.
    """
    from service.importing import import_books as run

    _import(run, file, layout, skip_bad, "books", "replaced")


@import_.command("interactions")
@_file_options(_INTERACTION_LAYOUTS)
def import_interactions(file: Path, layout: str | None, skip_bad: bool) -> None:
    """Import interactions from FILE: CSV with a header, JSON Lines or Parquet.

    What was imported before changes nothing. `recommendations import columns` lists the columns.
    """
    from service.importing import import_interactions as run

    _import(run, file, layout, skip_bad, "interactions", "known before")


@import_.command("columns")
def columns() -> None:
    """List the columns of both kinds of file."""
    from service.importing import BOOK_COLUMNS, INTERACTION_COLUMNS, column_table

    for kind, table in (("books", BOOK_COLUMNS), ("interactions", INTERACTION_COLUMNS)):
        click.echo(f"{kind}\n{column_table(table)}\n")


@import_.command("sample")
def import_sample() -> None:
    """Import the sample bookshop: public-domain books, and readers made up by a documented taste model."""
    from service.sample import sample_books, sample_interactions

    with _database() as database, progress("import sample") as report:
        books = sample_books()
        database.upsert_books(books)
        report("making up readers", 0.0)
        interactions = list(sample_interactions(books))
        stored = 0
        for start in range(0, len(interactions), 10_000):
            report("interactions", start / len(interactions))
            stored += sum(database.record(interactions[start : start + 10_000]))
        report("interactions", 1.0)
    click.echo(f"{len(books)} books and {stored} new interactions of the sample bookshop")


def _import(
    run: "Callable[..., ImportReport]",
    file: Path,
    layout: str | None,
    skip_bad: bool,
    noun: str,
    repeated: str,
) -> None:
    with _database() as database, progress(f"import {file.name}") as report:
        outcome = run(
            file,
            database,
            format=layout,
            skip_bad=skip_bad,
            progress=lambda done, total: report(noun, done / total if total else 1.0),
        )
    click.echo(
        f"{file}: {outcome.stored} {noun} stored, {outcome.repeated} {repeated}, {outcome.skipped} skipped"
    )
    if outcome.skipped:
        for problem in outcome.problems:
            complain(f"{file}, {problem}")
        for rule, count in outcome.skipped_by_rule.most_common():
            complain(f"{count} rows skipped: {rule}")


def _database() -> "Database":
    from service.storage import Database

    return Database.open(Settings.from_environment(os.environ).database_url)
