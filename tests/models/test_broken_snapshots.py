"""Every way in which files can be wrong is refused in one line that names the file and the rule."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from service.models import ModelStore
from tests.models.made_models import DIGEST, SETTINGS, made_model
from tests.models.places import Place, directory_place, refusal
from tests.tools import ordinary_rights

ARRAYS = [
    "book_ids", "indptr", "indices", "weights", "popularity", "source_factors", "target_factors",
    "target_scales",
]  # fmt: skip


@pytest.fixture
def store(place: Place) -> ModelStore:
    store = place.store
    store.promote(store.save(made_model(), settings=SETTINGS, data_digest=DIGEST))
    return store


@pytest.fixture
def snapshot(place: Place, store: ModelStore) -> Path:
    """The files of the version in use."""
    return place.files / store.current_version()


@pytest.mark.parametrize("name", ARRAYS)
def test_truncated_array_is_refused(place: Place, store: ModelStore, snapshot: Path, name: str) -> None:
    path = snapshot / f"{name}.npy"
    size = path.stat().st_size
    os.truncate(path, size - 1)
    assert refusal(store.load) == f"{place.called(path)}: has {size - 1} bytes, its manifest says {size}"


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("at", [8, -1])
def test_flipped_bit_in_an_array_is_refused(
    place: Place, store: ModelStore, snapshot: Path, name: str, at: int
) -> None:
    path = snapshot / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert refusal(store.load).startswith(f"{place.called(path)}: was altered after it was written")


def test_flipped_bit_in_the_manifest_is_refused(place: Place, store: ModelStore, snapshot: Path) -> None:
    path = snapshot / "manifest.json"
    path.write_text(path.read_text().replace('"reader_count": 7', '"reader_count": 6'))
    assert refusal(store.load).startswith(f"{place.called(path)}: was altered after it was written")
    listed = store.list()
    assert len(listed) == 1
    assert listed[0].problem.startswith(f"{place.called(path)}: was altered")


def test_manifest_of_another_format_version_is_refused(
    place: Place, store: ModelStore, snapshot: Path
) -> None:
    path = snapshot / "manifest.json"
    path.write_text(path.read_text().replace('"format_version": 3', '"format_version": 2'))
    assert refusal(store.load) == f"{place.called(path)}: has format version 2, this program reads 3"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is not the manifest of a model"),
        (b'{"name": "another program"}', "is not the manifest of a model"),
        (
            b'{"format": "recommendations item model", "format_version": 3, "version": 5, "x": NaN}',
            "was altered",
        ),
        (b" " * (1 << 20) + b"{}", "is larger than 1048576 bytes"),
    ],
    ids=["empty", "half", "binary", "nested", "list", "foreign", "NaN", "huge"],
)
def test_a_file_that_is_no_manifest_is_refused(
    place: Place, store: ModelStore, snapshot: Path, content: bytes, rule: str
) -> None:
    path = snapshot / "manifest.json"
    path.write_bytes(content)
    assert refusal(store.load).startswith(f"{place.called(path)}: {rule}")
    assert rule in store.list()[0].problem


@pytest.mark.parametrize("name", ["book_ids.npy", "weights.npy"])
def test_missing_array_is_refused(place: Place, store: ModelStore, snapshot: Path, name: str) -> None:
    (snapshot / name).unlink()
    assert refusal(store.load) == f"{place.called(snapshot / name)}: {place.missing}"


def test_snapshot_without_a_manifest_is_refused_and_listed_as_unfinished(
    store: ModelStore, snapshot: Path
) -> None:
    (snapshot / "manifest.json").unlink()
    assert snapshot.name in refusal(store.load)
    (summary,) = store.list()
    assert (summary.version, summary.is_current) == (snapshot.name, True)
    assert summary.problem.endswith("it was not written to its end")


def test_snapshot_under_the_name_of_another_version_is_refused(
    place: Place, store: ModelStore, snapshot: Path
) -> None:
    other = snapshot.with_name("20200101-000000-00000000")
    shutil.copytree(snapshot, other)
    message = refusal(lambda: store.load(other.name))
    assert message == f"{place.called(other)}/manifest.json: is of version {snapshot.name}, not {other.name}"


def forged(snapshot: Path, name: str, array: np.ndarray, **options: bool) -> str:
    """Replace an array and make every digest agree, as someone would who knows the format."""
    path = snapshot / f"{name}.npy"
    np.save(path, array, **options)
    manifest = json.loads((snapshot / "manifest.json").read_text())
    time_of_training = manifest.pop("version")[:-9]
    manifest["arrays"][name]["bytes"] = path.stat().st_size
    manifest["arrays"][name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    version = f"{time_of_training}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"
    (snapshot / "manifest.json").write_text(json.dumps(manifest | {"version": version}))
    snapshot.rename(snapshot.with_name(version))
    return version


@pytest.mark.parametrize(
    ("name", "change", "rule"),
    [
        ("indices", lambda old: old + 1000, "names a position outside 0 to 39"),
        ("indptr", lambda old: old[::-1].copy(), "does not run from 0"),
        ("weights", lambda old: old * np.float32(np.nan), "negative or not finite"),
        ("weights", lambda old: old.astype(np.float64), "holds <f8"),
        ("weights", lambda old: old.astype(">f4"), "holds >f4"),
        ("weights", lambda old: old[:-1], "not <f4"),
        ("weights", lambda old: old[None, :], "not <f4"),
        ("book_ids", lambda old: old[::-1].copy(), "not strictly ascending"),
        ("source_factors", lambda old: old * np.float32(np.nan), "not finite"),
        ("source_factors", lambda old: old.ravel(), "not <f4"),
        ("target_factors", lambda old: old.astype(np.float16), "holds <f2"),
        ("book_ids", lambda old: old.astype(object), "is not a NumPy array file"),
    ],
)
def test_arrays_that_break_a_rule_are_refused_though_all_digests_agree(
    place: Place,
    store: ModelStore,
    snapshot: Path,
    name: str,
    change: Callable[[np.ndarray], np.ndarray],
    rule: str,
) -> None:
    version = forged(snapshot, name, change(np.load(snapshot / f"{name}.npy")), allow_pickle=True)
    message = refusal(lambda: store.load(version))
    assert message.startswith(f"{place.name}/{version}/{name}.npy: ")
    assert rule in message


def test_missing_directory_is_refused_with_what_to_do(tmp_path: Path) -> None:
    missing = ModelStore.open(str(tmp_path / "nowhere"), cache_directory=tmp_path / "cache")
    actions = (
        missing.load,
        missing.list,
        missing.current_version,
        missing.rollback,
        lambda: missing.prune(1),
    )
    for action in actions:
        assert refusal(action) == (
            f"{tmp_path / 'nowhere'}: is not a directory of models; train one: recommendations train"
        )


def test_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    store = ModelStore.open(str(tmp_path / "models"), cache_directory=tmp_path / "cache")
    assert "is not a directory of models" in refusal(store.load)
    message = refusal(lambda: store.save(made_model(), settings={}, data_digest=DIGEST))
    assert message == f"{tmp_path / 'models'}: file exists"


def test_pointer_to_a_version_that_is_gone_is_refused(
    place: Place, store: ModelStore, snapshot: Path
) -> None:
    shutil.rmtree(snapshot)
    assert refusal(store.load) == (f"{place.name}/current: names version {snapshot.name}, which is not there")
    assert store.list() == []


@pytest.mark.parametrize("content", [b"", b"\n", b"latest", b"../../etc", b"\xff\x00" * 500])
def test_pointer_that_names_no_version_is_refused(place: Place, store: ModelStore, content: bytes) -> None:
    (place.files / "current").write_bytes(content)
    message = refusal(store.load)
    assert message.startswith(f"{place.name}/current: ")
    assert message.endswith("is not the version of a model")
    assert len(message) < 300 + len(place.name)


@pytest.mark.parametrize("content", [b"", b"latest", b"\xff\x00" * 500])
def test_a_pointer_that_names_no_version_is_mended_by_promoting_one(
    place: Place, store: ModelStore, snapshot: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (place.files / "current").write_bytes(content)
    assert [(each.version, each.is_current) for each in store.list()] == [(snapshot.name, False)]
    assert f"{place.name}/current: " in caplog.text
    assert refusal(lambda: store.prune(keep=0)).startswith(f"{place.name}/current: ")  # which is in use?
    assert refusal(store.rollback).startswith(f"{place.name}/current: ")
    store.promote(snapshot.name)
    assert store.current_version() == snapshot.name


def test_unknown_version_is_refused(store: ModelStore) -> None:
    message = refusal(lambda: store.promote("20200101-000000-00000000"))
    assert "20200101-000000-00000000: does not exist; `recommendations models list`" in message


@pytest.fixture
def visible_place() -> Iterator[Place]:
    """A store that other users can reach, which pytest's own directories are not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        place = directory_place(Path(directory))
        store = place.store
        store.promote(store.save(made_model(), settings=SETTINGS, data_digest=DIGEST))
        yield place


@pytest.mark.parametrize("name", ["current", "weights.npy", "manifest.json"])
def test_file_that_may_not_be_read_is_named(visible_place: Place, name: str) -> None:
    directory = visible_place.files
    path = (directory if name == "current" else directory / visible_place.store.current_version()) / name
    path.chmod(0)
    with ordinary_rights():
        message = refusal(visible_place.store.load)
    assert message == f"{path}: permission denied"


def test_directory_that_may_not_be_written_is_named(visible_place: Place) -> None:
    directory = visible_place.files
    directory.chmod(0o555)
    with ordinary_rights():
        message = refusal(lambda: visible_place.store.save(made_model(), settings={}, data_digest=DIGEST))
    directory.chmod(0o755)
    assert message.startswith(f"{directory}/.saving-")
    assert message.endswith(": permission denied")
