"""How many rows a second `recommendations import` and `export` move on both databases, in how much memory.

    python -m tests.bench.bulk [--rows 1000000] [--books 50000] [--formats csv,jsonl,parquet] [--databases …]

The commands are those of an operator, as processes of their own, start and all; PostgreSQL is a server with
fsync on. What is exported must be the very file that was imported. The exit code is 0 when measuring worked.
"""

import argparse
import filecmp
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.cores import BenchError
from tests.postgres import PostgresServer

FORMATS = ("csv", "jsonl", "parquet")
DATABASES = ("SQLite", "PostgreSQL")
_LEAST_ROWS_A_SECOND, _MOST_MEGABYTES = 150_000, 300  # the bars: PostgreSQL's import; everything
_HEADING = f"{'':12}{'':9}{'':28}{'rows':>12}{'rows/s':>11}{'CPU s':>8}{'server':>8}{'peak MB':>9}"


@dataclass(frozen=True)
class Moved:
    """What one command took. Its memory is its own; PostgreSQL's is not in it."""

    seconds: float
    cpu_seconds: float
    peak_megabytes: float


@dataclass(frozen=True)
class _Place:
    """Where databases are made: the settings of a new one, and the processor time of its server so far."""

    settings_of_new: Callable[[], dict[str, str]]
    server_seconds: Callable[[], float] = lambda: 0.0


def main() -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.bulk", description="Measure importing and exporting."
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="interactions (1000000)")
    parser.add_argument("--books", type=int, default=50_000, help="books (50000)")
    parser.add_argument("--formats", default=",".join(FORMATS), help=f"some of {','.join(FORMATS)}")
    parser.add_argument("--databases", default=",".join(DATABASES), help=f"some of {','.join(DATABASES)}")
    parser.add_argument("--directory", type=Path, help="where files and databases go meanwhile")
    arguments = parser.parse_args()
    try:
        _bench(
            arguments.rows,
            arguments.books,
            arguments.formats.split(","),
            arguments.databases.split(","),
            arguments.directory,
        )
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _bench(rows: int, books: int, formats: list[str], databases: list[str], within: Path | None) -> None:
    with TemporaryDirectory(prefix="recommendations-bulk-", dir=within) as name:
        directory = Path(name)
        print(f"writing {books:,} books and {rows:,} interactions as {', '.join(formats)} …", flush=True)
        _run(["-m", "tests.bench.bulk_files", directory, books, rows, *formats], {})
        print(_HEADING)
        for database in databases:
            with _PLACES[database](directory) as place:
                for layout in formats:
                    _round_trip(database, place, directory, layout, rows, books)


def _round_trip(database: str, place: _Place, directory: Path, layout: str, rows: int, books: int) -> None:
    settings = place.settings_of_new()
    _run(["-m", "service", "migrate"], settings)
    for noun, count in (("books", books), ("interactions", rows)):
        file, out = directory / f"{noun}.{layout}", directory / f"out.{layout}"
        for what, arguments in (
            (f"import {noun}", ("import", noun, file)),
            (f"export {noun}", ("export", noun, out, "--force")),
        ):
            server = place.server_seconds()
            moved = _run(["-m", "service", *arguments], settings)
            server = place.server_seconds() - server
            is_barred = database == "PostgreSQL" and what == "import interactions"
            print(f"{database:12}{layout:9}{what:28}{_figures(count, moved, server, is_barred)}", flush=True)
        if not filecmp.cmp(file, out, shallow=False):
            raise BenchError(f"{database}, {layout}: what was exported is not what was imported")
        out.unlink()


def _figures(count: int, moved: Moved, server_seconds: float, is_barred: bool) -> str:
    speed = count / moved.seconds
    missed = " SLOWER than 150,000 rows/s" if is_barred and speed < _LEAST_ROWS_A_SECOND else ""
    if moved.peak_megabytes > _MOST_MEGABYTES:
        missed += " MORE than 300 MB"
    return (
        f"{count:12,}{speed:11,.0f}{moved.cpu_seconds:8.1f}{server_seconds:8.1f}"
        f"{moved.peak_megabytes:9.0f}{missed}"
    )


def _run(arguments: list[object], settings: dict[str, str]) -> Moved:
    """Run Python to its end; the kernel counts the memory of this very child."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RECOMMENDATIONS_")}
    started = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert child.stderr is not None
    said = child.stderr.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise BenchError(f"{' '.join(map(str, arguments))}: {said.strip()[-500:]}")
    return Moved(
        time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1_000_000
    )


@contextmanager
def _sqlite(directory: Path) -> Iterator[_Place]:
    database = directory / "shop.db"

    def settings_of_new() -> dict[str, str]:
        for path in directory.glob("shop.db*"):
            path.unlink()
        return {"RECOMMENDATIONS_DATABASE_URL": f"sqlite:///{database}"}

    yield _Place(settings_of_new)
    for path in directory.glob("shop.db*"):
        path.unlink()


@contextmanager
def _postgres(_directory: Path) -> Iterator[_Place]:
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer())
        made: list[str] = []

        def settings_of_new() -> dict[str, str]:
            with server.connect() as connection:
                for name in made:
                    connection.execute(f"DROP DATABASE IF EXISTS {name}")
            made.append(server.create_database())
            return {
                "RECOMMENDATIONS_DATABASE_URL": server.url(made[-1]),
                "RECOMMENDATIONS_DATABASE_PASSWORD_FILE": str(server.password_file),
            }

        yield _Place(
            settings_of_new,
            lambda: _seconds_with_children(int((server.data / "postmaster.pid").read_text().split()[0])),
        )


def _seconds_with_children(pid: int) -> float:
    """Return the processor time of a process and of its children that have ended; from proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


_PLACES = {"SQLite": _sqlite, "PostgreSQL": _postgres}

if __name__ == "__main__":
    sys.exit(main())
