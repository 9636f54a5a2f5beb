"""A process that dies, and several that work at once, leave whole snapshots and a valid pointer."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.models import ModelError, ModelStore
from service.models.durable_files import sole_writer
from tests.models.made_models import DIGEST, SETTINGS, TRAINED_AT, made_model

REPOSITORY = Path(__file__).parents[2]
# Calls of fsync in a save: eight arrays, the manifest, their directory; then, after the rename, its parent.
FSYNC_CALLS = 11


def save_and_kill(directory: Path, at_fsync: int) -> None:
    command = [sys.executable, "-m", "tests.models.interrupted_save", str(directory), str(at_fsync)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("at_fsync", [1, 3, 8, 9])
def test_save_killed_before_its_rename_leaves_no_version(tmp_path: Path, at_fsync: int) -> None:
    save_and_kill(tmp_path, at_fsync)
    store = ModelStore.open(str(tmp_path), cache_directory=tmp_path)
    assert store.list() == []
    store.promote(store.save(made_model(), settings=SETTINGS, data_digest=DIGEST))
    assert np.array_equal(store.load().weights, made_model().weights)


def test_save_killed_after_its_rename_leaves_a_whole_version(tmp_path: Path) -> None:
    save_and_kill(tmp_path, FSYNC_CALLS)
    store = ModelStore.open(str(tmp_path), cache_directory=tmp_path)
    (summary,) = store.list()
    assert summary.problem == ""
    assert np.array_equal(store.load(summary.version).weights, made_model().weights)


def test_prune_clears_what_a_killed_save_left_once_it_is_old(tmp_path: Path) -> None:
    save_and_kill(tmp_path, 3)
    (left,) = tmp_path.glob(".saving-*")
    store = ModelStore.open(str(tmp_path), cache_directory=tmp_path)
    store.prune(keep=1)
    assert left.exists()  # its owner might be alive
    two_hours_ago = time.time() - 7200
    os.utime(left, (two_hours_ago, two_hours_ago))
    store.prune(keep=1)
    assert not left.exists()


def test_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    store = ModelStore.open(str(tmp_path), cache_directory=tmp_path)
    with pytest.raises(ModelError):
        store.save(made_model(), settings={"x": float("inf")}, data_digest=DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_saves_at_once_of_one_model_and_of_others_all_succeed(tmp_path: Path) -> None:
    store = ModelStore.open(str(tmp_path), cache_directory=tmp_path)
    together = threading.Barrier(6)

    def save(seed: int) -> str:
        together.wait(timeout=10)
        return store.save(made_model(seed=seed), settings=SETTINGS, data_digest=DIGEST)

    with ThreadPoolExecutor(6) as pool:
        versions = list(pool.map(save, [1, 1, 1, 2, 2, 3]))
    assert len(set(versions)) == 3
    assert {each.version for each in store.list()} == set(versions)
    for version in versions:
        assert store.load(version).version == version
    assert not list(tmp_path.glob(".saving-*"))


def test_the_pointer_is_valid_at_every_moment_of_promotions(tmp_path: Path) -> None:
    store = ModelStore.open(str(tmp_path), cache_directory=tmp_path)
    versions = [
        store.save(made_model(seed=seed, trained_at=TRAINED_AT + seed), settings={}, data_digest=DIGEST)
        for seed in range(3)
    ]
    store.promote(versions[0])

    def promote_each(_: int) -> None:
        for version in versions * 3:
            store.promote(version)

    with ThreadPoolExecutor(2) as pool:
        promotions = [pool.submit(promote_each, worker) for worker in range(2)]
        while not all(promotion.done() for promotion in promotions):
            assert store.load().version in versions
    for promotion in promotions:
        promotion.result()
    assert sorted((tmp_path / "current").read_text().split()) == sorted(versions)


def test_the_lock_of_a_peer_that_does_not_finish_is_reported(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with (
        sole_writer(lock),
        pytest.raises(ModelError, match="another process has been changing the models"),
        sole_writer(lock, wait_seconds=0),
    ):
        pytest.fail("two held the lock")
    with sole_writer(lock, wait_seconds=0):
        pass
