"""What every command shows alike: complaints, progress and exit codes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

FAILED, MISCONFIGURED, REFUSED = 1, 3, 4


def complain(message: str) -> None:
    """Print what went wrong to standard error, each line of it after the program's name."""
    for line in message.splitlines():
        click.echo(f"recommendations: {line}", err=True)


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
