"""An import that is killed leaves the database as it was."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.domain.books import Book
from service.importing import import_interactions
from service.storage import Database, migrate

SCRIPT = """
import sys
from pathlib import Path
from service.importing import import_interactions
from service.storage import Database

def progress(done, total):
    print(done, flush=True)
    if done > total / 2:
        sys.stdin.read()

password_file = Path(sys.argv[3]) if sys.argv[3:] else None
import_interactions(sys.argv[2], Database.open(sys.argv[1], password_file=password_file), progress=progress)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path) -> tuple[str, Path | None]:
    """URL and password file of a database of each product."""
    if request.param == "sqlite":
        url, password_file = f"sqlite:///{tmp_path / 'shop.db'}", None
    else:
        server = request.getfixturevalue("postgres")
        url, password_file = server.url(server.create_database()), server.password_file
    migrate(url, password_file=password_file)
    return url, password_file


@pytest.mark.parametrize("has_rows", [True, False])
def test_killed_halfway_leaves_the_old_content_and_can_be_repeated(place, write, has_rows):
    url, password_file = place
    with Database.open(url, password_file=password_file) as database:
        database.upsert_books([Book(id=n, title=f"Book {n}", categories=("mystery",)) for n in range(1, 10)])
        if has_rows:
            import_interactions(write("old.csv", "reader_id,book_id\n7,7\n"), database)
        path = write("new.csv", "reader_id,book_id\n" + "".join(f"{n},1\n" for n in range(1, 60_001)))
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url, path, *([password_file] if password_file else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        while int(child.stdout.readline()) <= path.stat().st_size / 2:
            pass
        child.kill()
        child.communicate(timeout=30)
        assert database.interactions().reader_ids.tolist() == [7] * has_rows
        assert import_interactions(path, database).stored == 60_000
