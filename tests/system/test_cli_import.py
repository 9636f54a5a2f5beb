"""`recommendations migrate` and `import`, as an operator runs them."""

import json

import pytest

from tests.system.processes import assert_fails, run, run_here


def import_into(shop, *arguments):
    return run_here("import", *arguments, settings=shop.settings, cwd=shop.directory)


def book_count(shop) -> int:
    from service.storage import Database

    with Database.open(f"sqlite:///{shop.database}") as database:
        return database.counts().books


def test_importing_the_sample_again_changes_nothing(shop):
    assert "729 books and 74683 new interactions" in (shop.directory / "prepared.txt").read_text()
    result = import_into(shop, "sample")
    assert (result.returncode, result.stdout) == (
        0,
        "729 books and 0 new interactions of the sample bookshop\n",
    )


def test_migrating_again_changes_nothing(shop):
    before = shop.database.read_bytes()
    result = run("migrate", settings=shop.settings, cwd=shop.directory)
    assert (result.returncode, result.stderr) == (0, "")
    assert shop.database.read_bytes() == before


def test_books_and_interactions_come_from_files(shop):
    books = shop.directory / "books.csv"
    books.write_text("id,title,authors,categories\n9001,Kim Again,Rudyard Kipling,adventure\n")
    result = import_into(shop, "books", books)
    assert (result.returncode, result.stdout) == (0, f"{books}: 1 books stored, 0 replaced, 0 skipped\n"), (
        result.stderr
    )
    result = import_into(shop, "books", books)
    assert "0 books stored, 1 replaced" in result.stdout

    rows = shop.directory / "rows.jsonl"
    row = {"interaction_id": "i-1", "reader_id": 5, "book_id": 9001, "type": "READ"}
    rows.write_text(json.dumps(row | {"occurred_at": "2026-01-02T03:04:05Z"}) + "\n")
    for expected in ("1 interactions stored, 0 known before", "0 interactions stored, 1 known before"):
        result = import_into(shop, "interactions", rows)
        assert result.returncode == 0, result.stderr
        assert expected in result.stdout


def test_it_documents_the_columns(shop):
    result = import_into(shop, "columns")
    assert result.returncode == 0
    for column in ("title", "categories", "interaction_id", "occurred_at"):
        assert column in result.stdout


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("empty.csv", b"", ["empty.csv is empty"]),
        ("latin.csv", b"id,title\n1,\xc9mile\n", ["latin.csv", "UTF-8", "line 2"]),
        ("short.csv", b"id,authors\n1,Zola\n", ["short.csv", "column title is missing"]),
        ("books.txt", b"id,title\n", ["books.txt", "--format"]),
        ("bad.csv", b"id,title\n1,One\nx,Two\n", ["bad.csv, line 3, column id"]),
        ("bad.jsonl", b'{"id": 1, "title": "One"}\n{"id": 2\n', ["bad.jsonl, line 2"]),
        ("bad.parquet", b"PAR1 not at all", ["bad.parquet"]),
    ],
)
def test_a_bad_file_is_refused_whole_by_file_line_column_and_rule(shop, name, content, parts):
    (shop.directory / name).write_bytes(content)
    assert_fails(import_into(shop, "books", name), 1, *parts)
    assert book_count(shop) == 729


def write_bad_rows(path, count: int) -> None:
    """Write one good row and then this many with a book that cannot be."""
    rows = "".join(f"i{number},1,-5,READ,2026-01-01T00:00:00Z\n" for number in range(count))
    good = "ok-1,1,1,READ,2026-01-01T00:00:00Z\n"
    path.write_text("interaction_id,reader_id,book_id,type,occurred_at\n" + good + rows)


def test_a_million_bad_rows_are_refused_at_the_first(shop):
    write_bad_rows(shop.directory / "rows.csv", 1_000_000)
    result = import_into(shop, "interactions", "rows.csv")
    assert_fails(result, 1, 'rows.csv, line 3, column book_id: "-5" is not')


def test_bad_rows_that_are_skipped_are_counted_and_the_first_ones_listed(shop):
    write_bad_rows(shop.directory / "rows.csv", 50_000)
    result = import_into(shop, "interactions", "rows.csv", "--skip-bad")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "rows.csv: 1 interactions stored, 0 known before, 50000 skipped\n"
    complaints = [line for line in result.stderr.splitlines() if line.startswith("recommendations: ")]
    assert 'rows.csv, line 3, column book_id: "-5" is not' in complaints[0]
    assert len(complaints) < 50
    assert complaints[-1].startswith("recommendations: 50000 rows skipped: column book_id")


def test_a_database_that_is_missing_says_what_to_do(empty_folder):
    for arguments in (("import", "sample"), ("train",), ("evaluate",)):
        assert_fails(run_here(*arguments, settings={}, cwd=empty_folder), 1, "recommendations migrate")
    assert_fails(run_here("migrate", settings={}, cwd=empty_folder), 1, "there is no folder", "var")


def test_another_writer_is_told_of_in_one_way(shop):
    import sqlite3

    connection = sqlite3.connect(shop.database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = run("import", "sample", settings=shop.settings, cwd=shop.directory)
        assert_fails(result, 1, "locked by another writer", lines=None)
    finally:
        connection.close()
