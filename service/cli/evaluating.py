"""`evaluate`: how well the method, or the model in use, finds what readers did next."""

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.console import complain, progress
from service.cli.learning import print_table
from service.cli.training_data import ORDER_HELP, ORDERS, stored_data, training_settings
from service.settings import Settings
from service.stores import open_models

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.training import Evaluation

_TEST_LAYOUTS = ("csv", "jsonl", "parquet", "lightgcn")
_COLUMNS = (
    "method",
    "recall@20",
    "95 %",
    "ndcg@20",
    "95 %",
    "hit rate",
    "coverage",
    "novelty",
    "cold recall",
    "tail recall",
)


@click.command()
@click.option("--test", "test_file", type=click.Path(path_type=Path), help="Held-out interactions.")
@click.option("--format", "layout", type=click.Choice(_TEST_LAYOUTS), help="Layout of the test file.")
@click.option("--skip-bad", is_flag=True, help="Leave out bad rows of the test file, and count them.")
@click.option("--order", type=click.Choice(ORDERS), default="time", show_default=True, help=ORDER_HELP)
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses what is held out.")
@click.option("--chart", "chart_file", type=click.Path(path_type=Path), help="Write a bar chart, SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(
    test_file: Path | None,
    layout: str | None,
    skip_bad: bool,
    order: str,
    seed: int,
    chart_file: Path | None,
    as_json: bool,
) -> None:
    """Compare the method with others on a held-out fifth of each reader's books, or judge the model in use.

    Without --test the latest fifth of each list is held out (with --order none a random one), and the method
    and its baselines learn from the rest. With --test the model in use, as it is served, is judged for every
    reader of the file by what they did there. Every book that a reader has not in their history is ranked;
    figures are means over readers, with intervals of 95 %.
    """
    settings = Settings.from_environment(os.environ)
    with progress("evaluate") as report:
        if test_file is None:
            title, evaluations = _compared(settings, order, seed, report)
        else:
            title, evaluations = _tested(settings, test_file, layout, skip_bad, seed, report)
    if chart_file is not None:
        from service.training import chart

        chart_file.write_text(chart(evaluations, title), encoding="utf-8")
    if as_json:
        click.echo(json.dumps([each.as_json() for each in evaluations], indent=2, allow_nan=False))
        return
    click.echo(f"{title}: {evaluations[-1].reader_count} readers")
    print_table(_COLUMNS, [_row(each) for each in evaluations])


def _compared(
    settings: Settings, order: str, seed: int, report: "Callable[[str, float], None]"
) -> "tuple[str, list[Evaluation]]":
    from service.training import compare, has_implicit

    log, books, book_ids = stored_data(settings)
    how = training_settings(settings, order)
    if not has_implicit():
        complain(
            "iALS (implicit) is left out: the package implicit is missing; `pip install implicit` adds it"
        )
    found = compare(log, book_ids, settings=how, seed=seed, books=books, others=True, progress=report)
    return f"on a {'latest' if how.ordered else 'random'} fifth held out", found


def _tested(
    settings: Settings,
    test_file: Path,
    layout: str | None,
    skip_bad: bool,
    seed: int,
    report: "Callable[[str, float], None]",
) -> "tuple[str, list[Evaluation]]":
    from service.cli.held_out import read_held_out
    from service.training import (
        TrainingError,
        data_digest,
        evaluate_ranker,
        popularity_alone,
        served,
        trial_of,
        weights_of,
    )

    store = open_models(settings)
    version = store.current_version()
    model, manifest = store.load(version), store.manifest(version)
    log, books, book_ids = stored_data(settings)
    held_out = read_held_out(test_file, book_ids, layout, skip_bad=skip_bad)
    if manifest["data_digest"] != data_digest(log, book_ids):
        complain(f"model {version} learned from other data than the database holds now")
    weights = settings.interaction_weights
    if weights_of(manifest) != asdict(weights):
        complain(f"model {version} learned by other weights of interactions than are set now")
    trial = trial_of(model.book_ids, log, held_out, books=books, seed=seed, weights=weights)
    if trial.unknown_reader_count == len(trial.readers):
        raise TrainingError(f"{test_file}: none of its {len(trial.readers)} readers has a history")
    if trial.unknown_reader_count:
        complain(
            f"{test_file}: {trial.unknown_reader_count} of {len(trial.readers)} readers have no history;"
            " they are shown what is popular"
        )
    rankers = {"popularity": popularity_alone(model), f"model {version}": model}
    found = [
        evaluate_ranker(name, served(each), trial, seed=seed, progress=partial(report, f"ranking by {name}"))
        for name, each in rankers.items()
    ]
    return f"on {test_file.name}", found


def _row(figures: "Evaluation") -> list[str]:
    def span(interval: tuple[float, float]) -> str:
        return f"{interval[0]:.4f} to {interval[1]:.4f}"

    def share(value: float) -> str:
        return "" if value != value else f"{value:.4f}"  # nan: there were none

    return [
        figures.method,
        share(figures.recall),
        span(figures.recall_interval),
        share(figures.ndcg),
        span(figures.ndcg_interval),
        share(figures.hit_rate),
        share(figures.coverage),
        f"{figures.novelty:.2f}",
        share(figures.cold_recall),
        share(figures.tail_recall),
    ]
