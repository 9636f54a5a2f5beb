"""`train`, `evaluate` and `models`: from stored interactions to the model in use."""

import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from service.cli.console import progress, wide_console
from service.cli.database import open_database
from service.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from service.domain.interactions import InteractionLog
    from service.models import ModelStore


@click.command()
@click.option("--promote/--no-promote", default=True, show_default=True, help="Put the model into use.")
def train(promote: bool) -> None:
    """Learn a model from the stored interactions and save it as a snapshot.

    A fifth of each reader's books is held out first, to measure the method against popularity; the model
    itself is then learned from everything. Running servers take a promoted model up within seconds.
    """
    from service.training import TrainingSettings, data_digest, train_with_holdout

    settings = Settings.from_environment(os.environ)
    store = _store(settings)
    log, book_ids = _data(settings)
    store.require_usable()
    started = time.monotonic()
    how = TrainingSettings()
    with progress("train") as report:
        model = train_with_holdout(log, book_ids, settings=how, progress=report)
        digest = data_digest(log, book_ids)
        saved = store.save(model, settings=asdict(how), data_digest=digest, progress=report)
        pruned = store.promote(saved, keep=settings.models_kept) if promote else []
    figures = model.metrics
    click.echo(
        f"model {saved}: {len(book_ids)} books, {model.reader_count} readers, "
        f"{model.interaction_count} interactions, {len(model.indices)} neighbours "
        f"in {time.monotonic() - started:.1f} s"
    )
    if "recall@20" in figures:
        click.echo(
            f"on the held-out fifth: Recall@20 {figures['recall@20']:.3f}, "
            f"popularity {figures['popularity_recall@20']:.3f}"
        )
    _tell_pruned(pruned)
    click.echo("in use now" if promote else "not in use; `recommendations models promote` puts it there")


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses what is held out.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(seed: int, as_json: bool) -> None:
    """Compare the method with popularity on a held-out fifth of each reader's books.

    Every book that a reader has not in the other four fifths is ranked; figures are means over readers.
    """
    from service.training import COLUMNS, compare

    log, book_ids = _data(Settings.from_environment(os.environ))
    with progress("evaluate") as report:
        rows = [evaluation.row() for evaluation in compare(log, book_ids, seed=seed, progress=report)]
    if as_json:
        click.echo(json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows], indent=2))
        return
    _print_table(COLUMNS, [[row[0], *(f"{figure:.4f}" for figure in row[1:])] for row in rows])


@click.group()
def models() -> None:
    """List, show, promote and prune trained models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_models(as_json: bool) -> None:
    """List the snapshots, newest first; the one in use is marked."""
    summaries = _store(Settings.from_environment(os.environ)).list()
    if as_json:
        click.echo(json.dumps([asdict(summary) for summary in summaries], indent=2))
        return
    rows = []
    for summary in summaries:
        if summary.problem:
            rows.append(["", summary.version, f"broken: {summary.problem}", "", "", "", ""])
            continue
        rows.append(
            [
                "in use" if summary.is_current else "",
                summary.version,
                f"{datetime.fromtimestamp(summary.trained_at / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC",
                summary.method,
                str(summary.book_count),
                str(summary.interaction_count),
                f"{summary.metrics['recall@20']:.3f}" if "recall@20" in summary.metrics else "",
            ]
        )
    _print_table(["", "version", "trained", "method", "books", "interactions", "recall@20"], rows)


@models.command()
@click.argument("version", required=False)
def show(version: str | None) -> None:
    """Print the manifest of VERSION, or of the model in use, as JSON."""
    store = _store(Settings.from_environment(os.environ))
    click.echo(json.dumps(store.manifest(version or store.current_version()), indent=2))


@models.command()
@click.argument("version")
def promote(version: str) -> None:
    """Put VERSION into use; running servers take it up within seconds. Old ones beyond MODELS_KEPT go."""
    settings = Settings.from_environment(os.environ)
    _tell_pruned(_store(settings).promote(version, keep=settings.models_kept))
    click.echo(f"model {version} is in use now")


@models.command()
def rollback() -> None:
    """Put the model that was in use before back into use."""
    click.echo(f"model {_store(Settings.from_environment(os.environ)).rollback()} is in use now")


@models.command()
@click.option(
    "--keep", type=click.IntRange(min=1), help="How many of the newest stay; MODELS_KEPT unless given."
)
def prune(keep: int | None) -> None:
    """Delete old snapshots; the one in use, and the one before it, always stay."""
    settings = Settings.from_environment(os.environ)
    _tell_pruned(_store(settings).prune(settings.models_kept if keep is None else keep))


def _tell_pruned(versions: list[str]) -> None:
    for version in versions:
        click.echo(f"deleted {version}")


def _store(settings: Settings) -> "ModelStore":
    from service.models import ModelStore

    return ModelStore.open(
        settings.models_url,
        cache_directory=settings.models_cache_directory,
        endpoint=settings.models_endpoint,
        region=settings.models_region,
        credentials_file=settings.models_credentials_file,
        ca_file=settings.models_ca_file,
    )


def _data(settings: Settings) -> "tuple[InteractionLog, NDArray[np.int64]]":
    import numpy as np

    with open_database(settings) as database:
        book_ids = np.array([book.id for book in database.books()], dtype=np.int64)
        return database.interactions(), book_ids


def _print_table(columns: "tuple[str, ...] | list[str]", rows: list[list[str]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*map(escape, row))
    wide_console().print(table)
