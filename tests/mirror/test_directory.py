"""One process builds while others wait, old mirrors go, and what is mapped stays readable."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.domain.catalogue import Catalogue
from service.mirror import Mirror, MirrorError, build, current_version, prune, sole_builder
from tests.mirror.made_readings import small_reading

IDENTITY = "a-database"
_HOLD_LOCK = """
import sys
from pathlib import Path
from service.mirror import sole_builder
with sole_builder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_directory_that_is_not_there_has_no_mirror(tmp_path):
    assert current_version(tmp_path / "missing") is None


def test_a_sole_builder_makes_the_directory(tmp_path):
    with sole_builder(tmp_path / "new" / "mirror"):
        assert prune(tmp_path / "new" / "mirror") == []


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MirrorError, match="file"), sole_builder(tmp_path / "file" / "mirror"):
        pass


def test_others_wait_for_the_builder_until_it_dies(tmp_path):
    command = [sys.executable, "-c", _HOLD_LOCK, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(MirrorError, match=r"another process has been writing a mirror for 0\.05 s"),
            sole_builder(tmp_path, wait_seconds=0.05),
        ):
            pass
        os.kill(other.pid, signal.SIGKILL)
        with sole_builder(tmp_path, wait_seconds=30):
            assert current_version(tmp_path) is None


def test_what_goes_wrong_inside_the_block_comes_out_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), sole_builder(tmp_path):
        _ = 1 / 0


def test_old_versions_and_abandoned_work_are_pruned(tmp_path):
    versions = [build(small_reading(), tmp_path, identity=IDENTITY) for _ in range(3)]
    assert len(set(versions)) == 3
    (tmp_path / ".building-0123" / ".scratch").mkdir(parents=True)
    (tmp_path / ".removed-20200101-000000-01234567").mkdir()
    (tmp_path / "somebody-else's").mkdir()
    with sole_builder(tmp_path):
        assert prune(tmp_path) == sorted(versions[:2])
    assert {path.name for path in tmp_path.iterdir()} == {versions[2], "current", ".lock", "somebody-else's"}


def test_a_mirror_that_is_mapped_outlives_its_files(tmp_path):
    reading = small_reading()
    mirror = Mirror.open(tmp_path, build(reading, tmp_path, identity=IDENTITY), IDENTITY)
    build(small_reading(), tmp_path, identity=IDENTITY)
    assert prune(tmp_path) == [mirror.version]
    assert list(Catalogue(mirror.catalogue).books()) == reading.all_books
    assert mirror.events.reader_ids.tolist() == [5, 7, 9]


def test_opening_touches_no_memory_of_the_mirror(tmp_path):
    mirror = Mirror.open(tmp_path, build(small_reading(), tmp_path, identity=IDENTITY), IDENTITY)
    resident = 0
    for block in Path("/proc/self/smaps").read_text().split("VmFlags")[:-1]:
        if mirror.version in block:
            resident += int(block.split("Rss:")[1].split()[0])
    # NumPy looks at headers through the file; the page that a header shares with data may be there.
    assert resident <= 4 * 13
