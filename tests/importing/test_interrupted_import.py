"""An import that is killed leaves the database as it was."""

import subprocess
import sys

from service.importing import import_interactions

SCRIPT = """
import sys, time
from service.importing import import_interactions
from service.storage import Database

def progress(done, total):
    print(done, flush=True)
    if done > total / 2:
        sys.stdin.read()

import_interactions(sys.argv[2], Database.open(sys.argv[1]), progress=progress)
"""


def test_killed_halfway_leaves_the_old_content_and_can_be_repeated(database, write, tmp_path):
    import_interactions(write("old.csv", "reader_id,book_id\n7,7\n"), database)
    path = write("new.csv", "reader_id,book_id\n" + "".join(f"{n},1\n" for n in range(1, 60_001)))
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, f"sqlite:///{tmp_path / 'shop.db'}", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while int(child.stdout.readline()) <= path.stat().st_size / 2:
        pass
    child.kill()
    child.communicate(timeout=30)
    assert database.interactions().reader_ids.tolist() == [7]
    assert import_interactions(path, database).stored == 60_000
