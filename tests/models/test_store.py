"""Saving, finding, promoting, rolling back and pruning snapshots, in a directory and in a bucket."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.models import ModelError, ModelStore
from service.models.verification import broken_rule
from tests.models.made_models import DIGEST, SETTINGS, TRAINED_AT, made_model
from tests.models.places import Place, directory_place

ARRAYS = (
    "book_ids", "indptr", "indices", "weights", "popularity", "source_factors", "target_factors",
    "target_scales",
)  # fmt: skip
SECOND = 1_000_000


def save(store: ModelStore, **changes: int) -> str:
    return store.save(made_model(**changes), settings=SETTINGS, data_digest=DIGEST)


def save_several(store: ModelStore, count: int) -> list[str]:
    return [save(store, seed=seed, trained_at=TRAINED_AT + seed * SECOND) for seed in range(count)]


@pytest.mark.parametrize("book_count", [0, 1, 40])
def test_a_model_comes_back_as_it_was_saved(store: ModelStore, book_count: int) -> None:
    model = made_model(book_count)
    version = store.save(model, settings=SETTINGS, data_digest=DIGEST)
    loaded = store.load(version)
    for name in ARRAYS:
        array = getattr(loaded, name)
        assert array.dtype == getattr(model, name).dtype
        assert np.array_equal(array, getattr(model, name))
    assert replace(loaded, **{name: getattr(model, name) for name in ARRAYS}) == replace(
        model, version=version
    )


def test_the_version_tells_the_time_of_training_in_utc(store: ModelStore) -> None:
    assert save(store).startswith("20261118-110640-")


def test_loaded_arrays_are_mapped_and_cannot_be_written(store: ModelStore) -> None:
    model = store.load(save(store))
    for name in ARRAYS:
        array = getattr(model, name)
        assert type(array) is np.ndarray
        assert isinstance(array.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_the_manifest_tells_data_settings_metrics_and_catalogue(store: ModelStore) -> None:
    manifest = store.manifest(save(store))
    assert manifest["settings"] == SETTINGS
    assert manifest["data_digest"] == DIGEST
    assert manifest["metrics"] == {"recall@20": 0.25}
    assert manifest["catalogue_digest"] == manifest["arrays"]["book_ids"]["sha256"]
    assert (manifest["book_count"], manifest["reader_count"], manifest["interaction_count"]) == (40, 7, 99)


def test_the_same_model_saved_twice_is_one_version_with_the_same_bytes(place: Place, tmp_path: Path) -> None:
    other = directory_place(tmp_path / "other")
    first, second = place.store, other.store
    version = save(first)
    assert save(first) == version == save(second)
    assert len(first.list()) == 1
    names = sorted(path.name for path in (place.files / version).iterdir())
    assert names == sorted([*(f"{name}.npy" for name in ARRAYS), "manifest.json"])
    for name in names:
        here, there = (side.files / version / name for side in (place, other))
        assert here.read_bytes() == there.read_bytes()


@pytest.mark.parametrize(
    ("name", "array", "rule"),
    [
        ("weights", np.array([np.nan], dtype=np.float32), "weights holds a value"),
        ("weights", np.array([-1], dtype=np.float32), "weights holds a value"),
        ("popularity", np.array([np.inf, 0], dtype=np.float32), "popularity holds a value"),
        ("popularity", np.zeros(3, dtype=np.float32), "popularity has 3 entries for 2 books"),
        ("indices", np.array([2], dtype=np.int32), "indices names a position outside 0 to 1"),
        ("indices", np.array([-1], dtype=np.int32), "indices names a position outside 0 to 1"),
        ("indptr", np.array([0, 2, 1]), "indptr descends"),
        ("indptr", np.array([0, 1, 2]), "indptr does not run from 0 to the 1 entries"),
        ("indptr", np.array([0, 1]), "indptr has 2 entries for 2 books"),
        ("book_ids", np.array([9, 9]), "book_ids is not strictly ascending"),
        ("weights", np.zeros(2, dtype=np.float32), "weights has 2 entries for 1 neighbours"),
        ("source_factors", np.zeros((3, 8), dtype=np.float32), r"source_factors has the shape \[3, 8\]"),
        ("source_factors", np.full((2, 8), np.nan, dtype=np.float32), "source_factors holds a value"),
        ("target_factors", np.zeros((2, 4), dtype=np.int8), "target_factors has 4 factors a book"),
        ("target_scales", np.full(2, -np.inf, dtype=np.float32), "target_scales holds a value"),
        ("target_scales", np.ones(1, dtype=np.float32), "target_scales has 1 entries for 2 books"),
    ],
)
def test_a_model_that_breaks_a_rule_is_not_written(
    place: Place, store: ModelStore, name: str, array: np.ndarray, rule: str
) -> None:
    sound = replace(
        made_model(2),
        indptr=np.array([0, 1, 1]),
        indices=np.array([1], dtype=np.int32),
        weights=np.array([0.5], dtype=np.float32),
    )
    store.save(sound, settings={}, data_digest=DIGEST)
    before = sorted(place.files.iterdir())
    with pytest.raises(ModelError, match=rule):
        store.save(replace(sound, **{name: array}), settings={}, data_digest=DIGEST)
    assert sorted(place.files.iterdir()) == before


PLACE = 256 * 1024  # arrays are looked at in blocks; a rule must hold over their edges too


@pytest.mark.parametrize("at", [PLACE - 1, PLACE, PLACE + 1])
@pytest.mark.parametrize(
    "name", ["book_ids", "indptr", "indices", "weights", "source_factors", "target_scales"]
)
def test_a_rule_broken_at_the_edge_of_a_block_is_found(name: str, at: int) -> None:
    length = 2 * PLACE
    arrays: dict[str, np.ndarray] = {
        "book_ids": np.arange(length),
        "indptr": np.minimum(np.arange(length + 1), length),
        "indices": np.zeros(length, dtype=np.int32),
        "weights": np.zeros(length, dtype=np.float32),
        "popularity": np.zeros(length, dtype=np.float32),
        "source_factors": np.zeros((length, 1), dtype=np.float32),
        "target_factors": np.zeros((length, 1), dtype=np.int8),
        "target_scales": np.zeros(length, dtype=np.float32),
    }
    wrong = dict.fromkeys(arrays, np.nan) | {"book_ids": 0, "indptr": 0, "indices": length}
    assert broken_rule(arrays) is None
    arrays[name][at] = wrong[name]
    broken = broken_rule(arrays)
    assert broken is not None
    assert broken[0] == name


@pytest.mark.parametrize("settings", [{"shrink": float("nan")}, {"when": object()}])
def test_settings_that_json_cannot_hold_are_refused(store: ModelStore, settings: dict) -> None:
    with pytest.raises(ModelError, match="finite JSON values"):
        store.save(made_model(), settings=settings, data_digest=DIGEST)
    assert store.list() == []


def test_a_saved_model_is_not_in_use_before_it_is_promoted(store: ModelStore) -> None:
    version = save(store)
    with pytest.raises(ModelError, match="no current model; train one: recommendations train"):
        store.load()
    store.promote(version)
    assert store.current_version() == version
    assert store.load().version == version


def test_the_list_has_the_latest_first_and_marks_the_current_one(place: Place, store: ModelStore) -> None:
    versions = save_several(store, 3)
    store.promote(versions[1])
    listed = store.list()
    assert [each.version for each in listed] == versions[::-1]
    assert [each.is_current for each in listed] == [False, True, False]
    assert listed[0].metrics == {"recall@20": 0.25}
    directory = place.files / listed[0].version
    assert listed[0].size_bytes == sum(path.stat().st_size for path in directory.glob("*.npy"))


def test_rollback_goes_back_one_promotion_at_a_time(store: ModelStore) -> None:
    first, second, third = save_several(store, 3)
    for version in (first, second, third):
        store.promote(version)
    assert store.rollback() == second
    assert store.current_version() == second
    assert store.rollback() == first
    with pytest.raises(ModelError, match="no earlier model"):
        store.rollback()
    assert store.current_version() == first


def test_promoting_the_current_model_again_keeps_the_way_back(store: ModelStore) -> None:
    first, second = save_several(store, 2)
    for version in (first, second, second):
        store.promote(version)
    assert store.rollback() == first


def test_rollback_to_a_damaged_model_is_refused_and_changes_nothing(place: Place, store: ModelStore) -> None:
    first, second = save_several(store, 2)
    store.promote(first)
    store.promote(second)
    os.truncate(place.files / first / "weights.npy", 10)
    with pytest.raises(ModelError, match=r"weights\.npy: has 10 bytes"):
        store.rollback()
    assert store.current_version() == second


def test_a_damaged_model_is_not_promoted(place: Place, store: ModelStore) -> None:
    sound, damaged = save_several(store, 2)
    store.promote(sound)
    os.truncate(place.files / damaged / "indices.npy", 10)
    with pytest.raises(ModelError, match=r"indices\.npy"):
        store.promote(damaged)
    assert store.current_version() == sound


def test_prune_keeps_the_latest_the_current_and_the_one_before_it(store: ModelStore) -> None:
    versions = save_several(store, 6)
    for chosen in (versions[0], versions[1]):
        store.promote(chosen)
    assert store.prune(keep=2) == [versions[3], versions[2]]
    assert [each.version for each in store.list()] == [versions[index] for index in (5, 4, 1, 0)]
    assert store.rollback() == versions[0]
    assert store.load().version == versions[0]


def test_rollback_after_prune_goes_to_the_one_that_was_kept_and_no_further(store: ModelStore) -> None:
    versions = save_several(store, 4)
    for version in versions:
        store.promote(version)
    assert store.prune(keep=1) == versions[1::-1]
    assert store.rollback() == versions[2]
    assert store.load().version == versions[2]
    with pytest.raises(ModelError, match="names no earlier model to go back to"):
        store.rollback()
    assert store.current_version() == versions[2]


def test_promoting_prunes_beyond_what_is_to_be_kept(store: ModelStore) -> None:
    versions = [save(store, seed=seed, trained_at=seed * SECOND) for seed in range(5)]
    assert store.promote(versions[0]) == []
    assert store.promote(versions[4], keep=2) == [versions[2], versions[1]]
    assert store.promote(versions[4], keep=2) == []
    assert [each.version for each in store.list()] == [versions[index] for index in (4, 3, 0)]


def test_two_who_train_on_the_same_data_in_the_same_second_both_end_with_whole_models(place: Place) -> None:
    # What differs is the microsecond of training, or nothing at all. One who promotes must not prune what
    # another is about to promote.
    now = int(time.time()) * SECOND
    models = [made_model(seed=1, trained_at=now + microsecond) for microsecond in (0, 1, 1)]
    with ThreadPoolExecutor(len(models)) as pool:
        versions = list(
            pool.map(lambda model: place.store.save(model, settings=SETTINGS, data_digest=DIGEST), models)
        )
    assert versions[0] != versions[1] == versions[2]
    assert {each.version: each.problem for each in place.store.list()} == dict.fromkeys(versions, "")
    for version, model in zip(versions, models, strict=True):
        place.store.promote(version, keep=1)
        assert place.store.load().trained_at == model.trained_at


def test_saving_tells_how_far_it_is(store: ModelStore) -> None:
    told: list[tuple[str, float]] = []
    store.save(made_model(), settings={}, data_digest=DIGEST, progress=lambda *each: told.append(each))
    assert {stage for stage, _ in told} == {"storing the model"}
    assert [done for _, done in told] == sorted(done for _, done in told)
    assert told[-1][1] == 1.0


def test_prune_to_nothing_keeps_the_current_one(store: ModelStore) -> None:
    version = save_several(store, 2)[0]
    store.promote(version)
    store.prune(keep=0)
    assert [each.version for each in store.list()] == [version]


def test_a_negative_number_to_keep_is_refused(store: ModelStore) -> None:
    save(store)
    with pytest.raises(ModelError, match="keep: -1 is not 0 or more"):
        store.prune(keep=-1)


def test_a_mapped_model_outlives_its_files(store: ModelStore) -> None:
    version = save(store)
    loaded = store.load(version)
    store.prune(keep=0)
    assert store.list() == []
    assert np.array_equal(loaded.weights, made_model().weights)


def test_foreign_files_beside_snapshots_are_left_alone(place: Place, store: ModelStore) -> None:
    version = save(store)
    (place.files / "README.txt").write_text("ours")
    (place.files / "lost+found").mkdir()
    (place.files / "20260101-000000-00000000").write_text("a file, not a directory")
    assert [each.version for each in store.list()] == [version]
    store.prune(keep=0)
    assert (place.files / "README.txt").exists()
    assert (place.files / "lost+found").exists()


def test_versions_cannot_name_paths_elsewhere(store: ModelStore) -> None:
    save(store)
    for version in ("../models", "/etc", "", "20260101-000000-0000000g"):
        with pytest.raises(ModelError, match="is not a version"):
            store.load(version)


def test_metrics_and_settings_survive_as_json(place: Place, store: ModelStore) -> None:
    version = save(store)
    text = (place.files / version / "manifest.json").read_text()
    assert json.loads(text) == store.manifest(version)
