"""`recommendations export`, as an operator runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.processes import PATIENCE_SECONDS, assert_fails, environment_with, run, run_here
from tests.tools import small_disk


def export_from(shop, *arguments):
    return run_here("export", *arguments, settings=shop.settings, cwd=shop.directory)


def files_of(shop) -> list[str]:
    return sorted(path.name for path in shop.directory.iterdir() if path.suffix != ".txt")


def test_the_whole_shop_goes_out_and_in_again(shop, tmp_path):
    for noun, count in (("books", 729), ("interactions", 74_683)):
        result = export_from(shop, noun, f"{noun}.jsonl")
        assert (result.returncode, result.stdout) == (0, f"{noun}.jsonl: {count} {noun} exported\n"), (
            result.stderr
        )
    other = {"RECOMMENDATIONS_DATABASE_URL": f"sqlite:///{tmp_path / 'other.db'}"}
    for arguments in (
        ("migrate",),
        ("import", "books", "books.jsonl"),
        ("import", "interactions", "interactions.jsonl"),
        ("export", "books", "again-books.jsonl"),
        ("export", "interactions", "again-interactions.jsonl"),
    ):
        result = run_here(*arguments, settings=other, cwd=shop.directory)
        assert result.returncode == 0, result.stderr
    for noun in ("books", "interactions"):
        first, again = (shop.directory / f"{lead}{noun}.jsonl" for lead in ("", "again-"))
        assert first.read_bytes() == again.read_bytes()


def test_a_file_that_is_there_stays_without_force(shop):
    (shop.directory / "books.csv").write_text("mine")
    assert_fails(export_from(shop, "books", "books.csv"), 1, "books.csv is there already; --force")
    assert (shop.directory / "books.csv").read_text() == "mine"
    assert export_from(shop, "books", "books.csv", "--force").returncode == 0


def test_standard_output_takes_text_alone_and_nothing_else_is_on_it(shop):
    result = run("export", "books", "-", "--format", "csv", settings=shop.settings, cwd=shop.directory)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 730
    assert result.stdout.startswith("id,title,authors,")
    assert "-: 729 books exported" in result.stderr
    for arguments in (("-",), ("-", "--format", "parquet")):
        assert_fails(export_from(shop, "books", *arguments), 2, "standard output takes --format csv or jsonl")


def test_a_full_disk_under_standard_output_is_told_in_one_line(shop):
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "service", "export", "interactions", "-", "--format", "jsonl"],
            env=environment_with(shop.settings),
            cwd=shop.directory,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert_fails(result, 1, "standard output cannot be written: No space left on device")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_that_may_not_grow_is_told_in_one_line_and_leaves_nothing(shop, ending):
    before = files_of(shop)
    # Blocks of 512 bytes; enough for the files that SQLite needs to read.
    limited = ["sh", "-c", 'ulimit -f 400; exec "$@"', "sh", sys.executable, "-m", "service"]
    result = subprocess.run(
        [*limited, "export", "interactions", f"rows.{ending}"],
        env=environment_with(shop.settings),
        cwd=shop.directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert_fails(result, 1, f"rows.{ending} cannot be written: File too large")
    assert files_of(shop) == before


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_full_disk_is_told_in_one_line_and_the_old_file_stays(shop, tmp_path, ending):
    disk = tmp_path / "disk"
    file = disk / f"rows.{ending}"
    exporting = [sys.executable, "-m", "service", "export", "interactions", str(file), "--force"]
    # The disk goes with the process: what is on it has to be told from inside.
    script = 'echo old > "$0"; "$@"; code=$?; ls -A "$(dirname "$0")"; cat "$0"; exit $code'
    result = subprocess.run(
        [*small_disk(disk, 1), "sh", "-c", script, str(file), *exporting],
        env=environment_with(shop.settings),
        cwd=shop.directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 2,
        check=False,
    )
    assert_fails(result, 1, f"rows.{ending} cannot be written: No space left on device", lines=None)
    assert result.stdout == f"rows.{ending}\nold\n"


def test_a_reader_that_goes_away_ends_it_quietly(shop):
    child = subprocess.Popen(
        [sys.executable, "-m", "service", "export", "interactions", "-", "--format", "csv"],
        env=environment_with(shop.settings),
        cwd=shop.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline().startswith("reader_id,")
    child.stdout.close()
    errors = child.stderr.read()
    child.stderr.close()
    assert child.wait(PATIENCE_SECONDS) == 1
    assert "Traceback" not in errors
    assert "cannot" not in errors


def test_an_empty_database_gives_an_empty_file(empty_folder):
    (empty_folder / "var").mkdir()
    assert run_here("migrate", settings={}, cwd=empty_folder).returncode == 0
    result = run_here("export", "interactions", "none.csv", settings={}, cwd=empty_folder)
    assert (result.returncode, result.stdout) == (0, "none.csv: 0 interactions exported\n")


def test_a_missing_database_says_what_to_do_and_leaves_no_file(empty_folder):
    result = run_here("export", "books", "books.csv", settings={}, cwd=empty_folder)
    assert_fails(result, 1, "recommendations migrate")
    assert not any(empty_folder.iterdir())
