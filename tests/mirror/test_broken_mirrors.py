"""A mirror that is not as it was written, or is somebody else's, is never mapped: file and rule are named."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from service.mirror import Mirror, MirrorError, build, current_version
from service.mirror.manifest import ARRAY_TYPES, FORMAT_VERSION
from tests.mirror.made_readings import small_reading

IDENTITY = "a-database"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("written")
    return directory / build(small_reading(), directory, identity=IDENTITY)


@pytest.fixture
def version(written, tmp_path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(written, tmp_path / written.name))


def refusal(version: Path, identity: str = IDENTITY) -> str:
    with pytest.raises(MirrorError) as raised:
        Mirror.open(version.parent, version.name, identity)
    message = str(raised.value)
    assert "\n" not in message
    return message


def resealed(version: Path, **changed: object) -> Path:
    """Change the manifest and give it the digest and the directory that go with it."""
    path = version / "manifest.json"
    manifest = json.loads(path.read_text()) | changed
    del manifest["version"]
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    name = f"{version.name.rpartition('-')[0]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    path.write_text(json.dumps(manifest | {"version": name}))
    return version.rename(version.with_name(name))


def replaced(version: Path, name: str, array: np.ndarray) -> Path:
    """Put another array in place, as a faulty builder would: with a manifest that fits it."""
    np.save(version / f"{name}.npy", array)
    arrays = json.loads((version / "manifest.json").read_text())["arrays"]
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return resealed(version, arrays=arrays | {name: {"shape": list(array.shape), "sha256": digest}})


@pytest.mark.parametrize("name", ARRAY_TYPES)
def test_one_flipped_bit_in_any_array_is_found(version, name):
    path = version / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x10
    path.write_bytes(content)
    assert f"{path}: " in refusal(version)


@pytest.mark.parametrize("name", ARRAY_TYPES)
@pytest.mark.parametrize("kept", [0, 40, -1])
def test_an_array_that_was_cut_off_is_found(version, name, kept):
    path = version / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:kept])
    assert f"{path}: is not a NumPy array file, or was cut off" in refusal(version)


def test_bytes_behind_an_array_are_found(version):
    path = version / "book_ids.npy"
    path.write_bytes(path.read_bytes() + b"more")
    assert f"{path}: has" in refusal(version)


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ARRAY_TYPES), "manifest.json"])
def test_a_missing_file_is_named(version, name):
    (version / name).unlink()
    assert refusal(version) == f"{version / name}: no such file or directory"


def test_an_array_of_another_type_is_named(version):
    np.save(version / "book_ids.npy", np.zeros(4, dtype=np.int32))
    assert "book_ids.npy: holds <i4[4], its manifest says <i8[4]" in refusal(version)


def test_pickled_objects_are_not_loaded(version):
    np.save(version / "book_ids.npy", np.array([os.getpid], dtype=object), allow_pickle=True)
    assert "book_ids.npy: is not a NumPy array file" in refusal(version)


@pytest.mark.parametrize(
    ("name", "array", "rule"),
    [
        ("book_ids", np.array([10, 20, 20, 40]), "is not strictly ascending"),
        ("book_ids", np.array([10, 20, 30]), r"has the shape \[4, 1\], \[3, 1\] fits"),
        ("book_category_bits", np.zeros((4, 2), dtype=np.uint64), r"has the shape \[4, 2\], \[4, 1\] fits"),
        ("book_offsets", np.zeros(4, dtype=np.int64), r"has the shape \[4\], \[5\] fits"),
        ("book_offsets", np.array([1, 1, 1, 1, 1]), "does not begin with 0"),
        ("book_offsets", np.array([0, 9, 5, 9, 9]), "descends"),
        ("book_offsets", np.array([0, 1, 2, 3, 10**6]), "does not run up to"),
        ("reader_ids", np.array([9, 7, 5]), "is not strictly ascending"),
        ("reader_starts", np.array([0, 2, 5, 4]), "descends"),
        ("reader_starts", np.array([0, 2, 3, 5]), "does not run up to 4"),
        ("reader_starts", np.array([0, 2, 4]), r"has the shape \[3\], \[4\] fits"),
        ("event_positions", np.array([0, 1, 2, 4], dtype=np.int32), "names a position outside 0 to 3"),
        ("event_positions", np.array([0, 1, 2, -1], dtype=np.int32), "names a position outside 0 to 3"),
        ("event_codes", np.array([4, 4, 4, 12], dtype=np.uint8), "holds a code that no interaction has"),
        ("event_times", np.zeros(5, dtype=np.int64), "reader_starts.npy: does not run up to 5"),
        ("popularity_totals", np.zeros(3), r"has the shape \[3\], \[4\] fits"),
        ("popularity_times", np.array([1, 2, 3, 2]), "descends"),
        ("popularity_positions", np.array([0, 1, 2, 4], dtype=np.int32), "names a position outside"),
        ("popularity_codes", np.array([4, 4, 4, 27], dtype=np.uint8), "holds a code that no interaction has"),
    ],
)
def test_arrays_that_break_what_compiled_code_relies_on_are_refused(version, name, array, rule):
    changed = replaced(version, name, array)
    with pytest.raises(MirrorError, match=rule):
        Mirror.open(changed.parent, changed.name, IDENTITY)


def test_an_array_as_it_was_is_taken_though_it_was_put_back(version):
    changed = replaced(version, "reader_ids", np.array([5, 7, 9]))
    assert Mirror.open(changed.parent, changed.name, IDENTITY).events.reader_ids.tolist() == [5, 7, 9]


def test_a_mirror_of_another_database_is_refused(version):
    assert refusal(version, "another-database").endswith(
        "manifest.json: is of database a-database, not another-database"
    )


def test_a_mirror_of_another_format_version_is_refused(version):
    changed = resealed(version, format_version=FORMAT_VERSION + 1)
    assert f"has format version {FORMAT_VERSION + 1}, this program reads {FORMAT_VERSION}" in refusal(changed)


def test_a_mirror_without_one_of_the_arrays_is_refused(version):
    arrays = json.loads((version / "manifest.json").read_text())["arrays"]
    del arrays["book_texts"]
    assert "manifest.json: holds other arrays than this program reads" in refusal(
        resealed(version, arrays=arrays)
    )


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', '{"format": "recommendations item model"}', "[" * 9_999]
)
def test_something_else_than_a_manifest_is_refused(version, text):
    (version / "manifest.json").write_text(text)
    assert "manifest.json: is not" in refusal(version)


def test_a_manifest_that_was_altered_is_refused(version):
    path = version / "manifest.json"
    path.write_text(path.read_text().replace('"7:3"', '"9:9"'))
    assert "was altered after it was written" in refusal(version)


def test_a_mirror_under_another_name_is_refused(version):
    moved = version.rename(version.with_name("20200101-000000-01234567"))
    assert f"is of version {version.name}, not {moved.name}" in refusal(moved)


@pytest.mark.parametrize("content", [b"", b"../../elsewhere", b"\xff\xfe", b"20200101-000000-0123456"])
def test_a_pointer_that_names_no_version_is_refused(tmp_path, version, content):
    (tmp_path / "current").write_bytes(content)
    with pytest.raises(MirrorError, match="is not the version of a mirror"):
        current_version(tmp_path)
