"""`train` and `models`: from stored interactions to the model in use."""

import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from service.cli.console import progress, wide_console
from service.cli.training_data import ORDER_HELP, ORDERS, library_versions, stored_data, training_settings
from service.settings import Settings
from service.stores import open_models

if TYPE_CHECKING:
    from service.models import ModelStore


@click.command()
@click.option("--order", type=click.Choice(ORDERS), default="time", show_default=True, help=ORDER_HELP)
@click.option("--publish/--no-publish", default=True, show_default=True, help="Put the model into use.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the factors' first values.")
def train(order: str, publish: bool, seed: int) -> None:
    """Learn a model from the stored interactions and save it as a snapshot.

    A fifth of each reader's books is held out first, to measure the method against popularity; the model
    itself is then learned from everything. It goes into use unless it is worse than popularity or than the
    model in use, or would serve badly: then it stays unpublished, and the exit code is 1. Running servers
    take a published model up within seconds.
    """
    from service.training import data_digest, refusal, serving_refusal, train_with_holdout

    settings = Settings.from_environment(os.environ)
    store = open_models(settings)
    log, books, book_ids = stored_data(settings)
    store.require_usable()  # before minutes of training: a mistake in how it is named is told now
    started = time.monotonic()
    how = training_settings(settings, order, seed)
    with progress("train") as report:
        model = train_with_holdout(log, book_ids, settings=how, books=books, progress=report)
        seconds = time.monotonic() - started
        saved = store.save(
            model,
            settings=asdict(how),
            data_digest=data_digest(log, book_ids),
            provenance={"duration_seconds": round(seconds, 3), "libraries": library_versions()},
            progress=report,
        )
        reason = None
        if publish:
            report("checking before publication", 0.0)
            reason = refusal(store.manifest(saved), _manifest_in_use(store)) or serving_refusal(
                store.load(saved), books, log, weights=how.weights
            )
        pruned = store.promote(saved, keep=settings.models_kept) if publish and not reason else []
    figures = model.metrics
    click.echo(
        f"model {saved}: {len(book_ids)} books, {model.reader_count} readers, "
        f"{model.interaction_count} interactions, {len(model.indices)} neighbours in {seconds:.1f} s"
    )
    if "recall@20" in figures:
        held = "latest" if how.ordered else "random"
        click.echo(
            f"on the {held} fifth, held out: Recall@20 {figures['recall@20']:.3f}, popularity "
            f"{figures['popularity_recall@20']:.3f}; NDCG@20 {figures['ndcg@20']:.3f}, popularity "
            f"{figures['popularity_ndcg@20']:.3f}"
        )
    _tell_pruned(pruned)
    if reason:
        raise click.ClickException(f"model {saved} stays unpublished: {reason}")
    click.echo("in use now" if publish else "not in use; `recommendations models promote` puts it there")


def _manifest_in_use(store: "ModelStore") -> dict[str, Any] | None:
    from service.models import ModelError

    try:
        return store.manifest(store.current_version())
    except ModelError:
        return None  # none was there, or one that cannot be read: nothing to be held against


@click.group()
def models() -> None:
    """List, show, promote and prune trained models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_models(as_json: bool) -> None:
    """List the snapshots, newest first; the one in use is marked."""
    summaries = open_models(Settings.from_environment(os.environ)).list()
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
    print_table(["", "version", "trained", "method", "books", "interactions", "recall@20"], rows)


@models.command()
@click.argument("version", required=False)
def show(version: str | None) -> None:
    """Print the manifest of VERSION, or of the model in use, as JSON."""
    store = open_models(Settings.from_environment(os.environ))
    click.echo(json.dumps(store.manifest(version or store.current_version()), indent=2))


@models.command()
@click.argument("version")
def promote(version: str) -> None:
    """Put VERSION into use; running servers take it up within seconds. Old ones beyond MODELS_KEPT go."""
    settings = Settings.from_environment(os.environ)
    _tell_pruned(open_models(settings).promote(version, keep=settings.models_kept))
    click.echo(f"model {version} is in use now")


@models.command()
def rollback() -> None:
    """Put the model that was in use before back into use."""
    click.echo(f"model {open_models(Settings.from_environment(os.environ)).rollback()} is in use now")


@models.command()
@click.option(
    "--keep", type=click.IntRange(min=1), help="How many of the newest stay; MODELS_KEPT unless given."
)
def prune(keep: int | None) -> None:
    """Delete old snapshots; the one in use, and the one before it, always stay."""
    settings = Settings.from_environment(os.environ)
    _tell_pruned(open_models(settings).prune(settings.models_kept if keep is None else keep))


def _tell_pruned(versions: list[str]) -> None:
    for version in versions:
        click.echo(f"deleted {version}")


def print_table(columns: "tuple[str, ...] | list[str]", rows: list[list[str]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*map(escape, row))
    wide_console().print(table)
