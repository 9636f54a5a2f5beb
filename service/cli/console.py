"""What every command shows alike: complaints, progress and exit codes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

FAILED, MISUSED, MISCONFIGURED, REFUSED, INTERRUPTED = 1, 2, 3, 4, 130
# Tables that a program reads or a file keeps; lines that are broken in two are of no use to either.
_WIDTH_OF_FILES = 200


def complain(message: str) -> None:
    """Print what went wrong to standard error, each line of it after the program's name."""
    for line in message.splitlines():
        click.echo(f"recommendations: {line}", err=True)


def wide_console() -> "Console":
    """Return a console for tables: as wide as the terminal, and wide enough for most where there is none."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=_WIDTH_OF_FILES)


@contextmanager
def progress(title: str) -> Iterator[Callable[[str, float], None]]:
    """Show a bar on a terminal, plain lines elsewhere; yields `report(stage, done)` with done from 0 to 1."""
    if not sys.stderr.isatty():
        last = ""

        def report(stage: str, done: float) -> None:
            nonlocal last
            if stage != last:
                click.echo(f"{title}: {stage}", err=True)
                last = stage

        yield report
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda stage, done: bar.update(task, description=f"{title}: {stage}", completed=done)
