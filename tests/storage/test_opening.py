"""A database that cannot be used is refused at the start in one line that says what to do."""

import sqlite3
import subprocess
import sys

import pytest

from service.storage import Database, StorageError


def refusal(url: str) -> str:
    """Return the one line that opening is refused with."""
    with pytest.raises(StorageError) as caught:
        Database.open(url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_file_is_refused_and_not_made(path):
    message = refusal(f"sqlite:///{path}")
    assert str(path) in message
    assert "recommendations migrate" in message
    assert not path.exists()


def test_folder_is_refused(tmp_path):
    assert "is a folder" in refusal(f"sqlite:///{tmp_path}")


def test_file_that_is_no_database_is_refused(path):
    path.write_text("books, and more books\n" * 500)
    message = refusal(f"sqlite:///{path}")
    assert f"{path} is not a SQLite database" in message


def test_truncated_database_is_refused(url, path):
    path.write_bytes(path.read_bytes()[:5000])
    assert "is damaged; restore a backup" in refusal(url)


@pytest.mark.parametrize("content", [b"", None])
def test_database_without_tables_is_sent_to_migrate(path, content):
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("VACUUM")
    else:
        path.write_bytes(content)
    assert "has no tables yet; run `recommendations migrate`" in refusal(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0000", "older than this release's"),
        ("9999", "newer than this release's"),
        ("ae1027a6acf", "belongs to another program"),
    ],
)
def test_other_schema_is_refused(url, path, version, words):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    message = refusal(url)
    assert words in message
    assert version in message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("shop.db", "cannot be read"),
        ("", "cannot be read"),
        ("mysql://ada:geheim@host/shop", "begins with mysql:"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://host/shop.db", "names no file"),
        ("sqlite:///shop.db?mode=memory", "options after a ?"),
    ],
)
def test_url_that_names_no_database_is_refused_without_its_password(url, words):
    message = refusal(url)
    assert words in message
    assert "geheim" not in message


def test_damaged_pages_are_named_by_the_first_read(url, path):
    with Database.open(url) as database, database.bulk() as bulk:
        bulk.add_interactions([(f"i{n}", 1, 1, 4, None, 1, "") for n in range(20_000)])
    content = bytearray(path.read_bytes())
    for start in range(60_000, len(content), 4096):
        content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)
    with Database.open(url) as database, pytest.raises(StorageError, match=r"is damaged; restore a backup"):
        database.interactions()


def test_file_names_with_odd_characters_work(tmp_path):
    from service.storage import migrate

    url = f"sqlite:///{tmp_path}/a shop #1 50%25.db"
    migrate(url)
    with Database.open(url) as database:
        assert database.counts() == (0, 0)


def test_opening_loads_nothing_that_only_migrating_and_importing_need(url):
    """Each would add a third of a second and more to every start."""
    script = (
        "import sys; from service.storage import Database; from service.importing import import_books;"
        " Database.open(sys.argv[1]).close(); print({'alembic', 'pyarrow', 'scipy'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", script, url], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "set()"
