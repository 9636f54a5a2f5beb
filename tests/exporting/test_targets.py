"""A file is there whole or not at all, and what was there before stays unless it may be replaced."""

import errno
import os

import pytest

from service.domain.books import Book
from service.exporting import ExportFailed, export_books, format_of
from service.exporting.targets import whole_file

BOOKS = [Book(id=n, title=f"Book {n}", categories=("x",)) for n in range(1, 4)]


def names_in(folder) -> list[str]:
    return [path.name for path in folder.iterdir()]


def refusal(path, **options) -> str:
    """Return the one line that an export is refused with; the folder is as it was."""
    before = sorted(path.parent.iterdir()) if path.parent.is_dir() else None
    with pytest.raises(ExportFailed) as caught:
        export_books(BOOKS, path, format="csv", **options)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert (sorted(path.parent.iterdir()) if path.parent.is_dir() else None) == before
    return str(caught.value)


def test_an_existing_file_is_replaced_only_where_that_is_asked_for(folder):
    path = folder / "books.csv"
    path.write_text("mine")
    assert "is there already; --force replaces it" in refusal(path)
    assert path.read_text() == "mine"
    assert export_books(BOOKS, path, format="csv", force=True) == 3
    assert path.read_text().count("\n") == 4
    assert names_in(folder) == ["books.csv"]


def test_a_file_that_appears_meanwhile_is_not_replaced(folder):
    path = folder / "books.csv"

    def slowly():
        yield BOOKS[0]
        path.write_text("theirs")

    with pytest.raises(ExportFailed, match="is there already"):
        export_books(slowly(), path, format="csv")
    assert path.read_text() == "theirs"
    assert names_in(folder) == ["books.csv"]


@pytest.mark.parametrize("layout", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("force", [False, True])
def test_an_export_that_breaks_off_leaves_nothing_and_the_old_file(folder, layout, force):
    path = folder / f"books.{layout}"
    if force:
        path.write_text("old")

    def broken():
        yield BOOKS[0]
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError, match="is gone"):
        export_books(broken(), path, format=layout, force=force)
    assert names_in(folder) == ([path.name] if force else [])
    assert not force or path.read_text() == "old"


def test_nothing_is_under_the_name_before_all_is_written(folder):
    with whole_file(folder / "a.csv", force=False) as file:
        file.write(b"half")
        file.flush()
        assert not (folder / "a.csv").exists()
    assert (folder / "a.csv").read_bytes() == b"half"


def test_a_disk_that_is_full_at_the_end_leaves_nothing(folder, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert refusal(folder / "a.csv").endswith("cannot be written: No space left on device")


def test_what_cannot_be_a_file_is_refused(folder):
    assert "is a folder" in refusal(folder)
    assert "there is no folder" in refusal(folder / "none" / "a.csv")
    os.mkfifo(folder / "pipe.csv")
    for force in (False, True):
        assert "is not a regular file" in refusal(folder / "pipe.csv", force=force)


def test_the_format_is_told_by_the_ending_unless_it_is_chosen(folder):
    assert [format_of(folder / name, None) for name in ("a.CSV", "a.jsonl", "a.ndjson", "a.parquet")] == [
        "csv",
        "jsonl",
        "jsonl",
        "parquet",
    ]
    assert format_of(folder / "a.txt", "csv") == "csv"
    with pytest.raises(ExportFailed, match="its ending is none of"):
        format_of(folder / "a.txt", None)
