"""`migrate`, `import` and `export`: the database, what goes into it and what comes out of it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from service.cli.console import complain, progress
from service.settings import Settings

if TYPE_CHECKING:
    from service.importing import ImportReport
    from service.storage import Database

_LAYOUTS = ("csv", "jsonl", "parquet", "goodbooks", "lightgcn")
_EXPORT_LAYOUTS = ("csv", "jsonl", "parquet")


@click.command()
def migrate() -> None:
    """Create the database that RECOMMENDATIONS_DATABASE_URL names, or bring its schema up to date."""
    from service.stores import migrate_database

    settings = Settings.from_environment(os.environ)
    migrate_database(settings)
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
@_file_options(_LAYOUTS)
def import_books(file: Path, layout: str | None, skip_bad: bool) -> None:
    """Import books from FILE: CSV with a header, JSON Lines, Parquet, goodbooks-10k or lightgcn.

    lightgcn is the layout of benchmarks: in each line a reader's number, then the numbers of their books in
    the order of reading. Books are made of the numbers; number n gets the id n + 1.
    A book whose id is there already is replaced. `recommendations import columns` lists the columns.
    """
    from service.importing import import_books as run

    _import(run, file, layout, skip_bad, "books", "replaced")


@import_.command("interactions")
@_file_options(_LAYOUTS)
def import_interactions(file: Path, layout: str | None, skip_bad: bool) -> None:
    """Import interactions from FILE: CSV with a header, JSON Lines, Parquet, goodbooks-10k or lightgcn.

    Of goodbooks-10k this is ratings.csv, whose rows are in the order of time; for lightgcn see `books`. What
    was imported before changes nothing. `recommendations import columns` lists the columns.
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
            stored += sum(map(bool, database.record(interactions[start : start + 10_000])))
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
    from service.stores import open_database

    return open_database(Settings.from_environment(os.environ))


@click.group()
def export() -> None:
    """Export books or interactions to files, in the columns that import reads: all of them, or no file.

    A file has the state of one moment, also while the service is running. Interactions can be imported again
    where their books are in the catalogue: with --skip-bad where some were deleted since.
    """


def _target_options(command: Any) -> Any:
    command = click.option("--force", is_flag=True, help="Replace FILE if it is there already.")(command)
    command = click.option(
        "--format",
        "layout",
        type=click.Choice(_EXPORT_LAYOUTS),
        help="Layout of the file.  [default: by its ending]",
    )(command)
    return click.argument("file", type=click.Path(path_type=Path, allow_dash=True))(command)


@export.command("books")
@_target_options
def export_books(file: Path, layout: str | None, force: bool) -> None:
    """Export the books to FILE: CSV, JSON Lines or Parquet; "-" is standard output, for the first two."""
    from service.exporting import export_books as run

    _export(run, file, layout, force, "books")


@export.command("interactions")
@_target_options
def export_interactions(file: Path, layout: str | None, force: bool) -> None:
    """Export the interactions to FILE, oldest entry first: as `export books` does."""
    from service.exporting import export_interactions as run

    _export(run, file, layout, force, "interactions")


def _export(run: Callable[..., int], file: Path, layout: str | None, force: bool, noun: str) -> None:
    from service.exporting import STREAMED_FORMATS, format_of
    from service.storage.exported_rows import interaction_rows

    is_stream = str(file) == "-"
    if is_stream and layout not in STREAMED_FORMATS:
        raise click.UsageError(f"standard output takes --format {' or '.join(STREAMED_FORMATS)}")
    layout = layout if is_stream else format_of(file, layout)
    with (
        _database() as database,
        database.reading(patient=True) as reading,
        progress(f"export {file.name}") as report,
        _standard_output() if is_stream else nullcontext(file) as target,
    ):
        total = reading.book_count() if noun == "books" else reading.interaction_count()
        rows: Any = reading.books() if noun == "books" else interaction_rows(reading)
        with closing(rows):  # what is left unread must end before the reading does
            count = run(
                rows,
                target,
                format=layout,
                force=force,
                progress=lambda done: report(noun, done / max(total, 1)),
            )
    click.echo(f"{file}: {count} {noun} exported", err=is_stream)


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    from service.exporting import ExportFailed

    # Apart from sys.stdout, whose buffer would be tried once more when the program ends.
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) as stream:
            yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ExportFailed(f"standard output cannot be written: {error.strerror or error}") from error
