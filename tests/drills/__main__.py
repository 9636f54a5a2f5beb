"""`python -m tests.drills`: all drills one after the other, and the table of what clients saw.

Knows nothing of what happens in a drill.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

import click

from tests.drills import lag
from tests.drills.outages import DRILLS
from tests.drills.scene import SHORT_PATIENCE, Outcome, Scene
from tests.world import Certificates, Shop

_COLUMNS = "drill,reads,failed,longest gap,acknowledged,lost,duplicates,miscounted,refused,told within"
_SHORT_SECONDS, _FULL_SECONDS = 2.0, 30.0
_SHORT_LAGS, _FULL_LAGS = 20, 200


@click.command()
@click.option("--full", is_flag=True, help="Outages of 30 s, with the service's default patience.")
@click.option("--only", multiple=True, type=click.Choice([*DRILLS, "lag"]), help="Only these drills.")
def main(full: bool, only: tuple[str, ...]) -> None:
    """Run the drills and print what clients saw."""
    seconds, settings = (_FULL_SECONDS, {}) if full else (_SHORT_SECONDS, SHORT_PATIENCE)
    names = only or [*DRILLS, "lag"]
    with tempfile.TemporaryDirectory(prefix="drills-") as folder:
        root = Path(folder)
        (root / "shop").mkdir()
        shop, certificates = Shop.prepare(root / "shop"), Certificates(root / "certificates")

        def scene(name: str) -> Scene:
            directory = root / name
            directory.mkdir()
            return Scene(directory, shop, certificates, settings)

        if set(names) & set(DRILLS):
            _print_row(_COLUMNS.split(","))
        for name in (name for name in names if name in DRILLS):
            with scene(name) as stage:
                _print_row(_cells(name, DRILLS[name](stage, seconds)))
        if "lag" in names:
            with scene("lag") as stage:
                _print_lags(stage, _FULL_LAGS if full else _SHORT_LAGS)


def _cells(name: str, outcome: Outcome) -> list[Any]:
    return [
        name,
        f"{outcome.reads:,}",
        len(outcome.failed_reads),
        f"{outcome.longest_read_gap_seconds:.2f} s",
        f"{outcome.acknowledged:,}",
        outcome.lost,
        outcome.duplicates,
        outcome.miscounted,
        outcome.refused_writes,
        f"{outcome.median_refusal_seconds * 1000:.1f} ms",
    ]


def _print_row(cells: list[Any]) -> None:
    click.echo(f"{cells[0]:26}" + "".join(f"{cell:>13}" for cell in cells[1:]))


def _print_lags(stage: Scene, count: int) -> None:
    replicas = [stage.start(name) for name in ("one", "two", "three")]
    writer, *others = [replica.wait_ready() for replica in replicas]
    with stage.load(writer, *others) as load:
        load.until_acknowledged(1_000)
        lags = lag.measure(stage, writer, others, count)
    click.echo(
        f"three replicas under load, {len(lags)} times from acknowledgement to the effect on another: "
        f"median {statistics.median(lags):.2f} s, longest {max(lags):.2f} s"
    )


if __name__ == "__main__":
    main()
