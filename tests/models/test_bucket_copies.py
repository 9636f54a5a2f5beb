"""Copies of a bucket's models on this machine: kept, shared, damaged, left behind, without room."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.models.made_models import made_model
from tests.models.places import REPOSITORY, Place, bucket_place, flip_a_bit, refusal, save
from tests.s3 import Proxy, S3Server


def downloads(proxy: Proxy) -> list[bytes]:
    return [line for line in proxy.requests if line.startswith(b"GET") and b".npy" in line]


@pytest.fixture
def place(tmp_path: Path, s3: S3Server) -> Place:
    return bucket_place(tmp_path, s3)


def test_a_sound_copy_is_not_downloaded_again(through_proxy: Place, proxy: Proxy) -> None:
    version = save(through_proxy.store)
    through_proxy.store.load(version)
    proxy.requests.clear()
    assert np.array_equal(through_proxy.store.load(version).weights, made_model().weights)
    assert downloads(proxy) == []


@pytest.mark.parametrize("name", ["weights.npy", "manifest.json"])
def test_a_damaged_copy_is_downloaded_anew(
    through_proxy: Place, proxy: Proxy, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    version = save(through_proxy.store)
    through_proxy.store.load(version)
    damaged = through_proxy.cache / version / name
    flip_a_bit(damaged)
    assert np.array_equal(through_proxy.store.load(version).weights, made_model().weights)
    assert str(damaged) in caplog.text
    proxy.requests.clear()
    through_proxy.store.load(version)
    assert downloads(proxy) == []


def test_a_damaged_object_is_not_promoted_though_a_sound_copy_is_here(place: Place) -> None:
    store = place.store
    first, second = save(store), save(store, 1)
    store.promote(first)
    store.load(second)
    flip_a_bit(place.files / second / "weights.npy")
    assert refusal(lambda: store.promote(second)).startswith(
        f"{place.name}/{second}/weights.npy: was altered"
    )
    assert store.current_version() == first


def test_processes_that_share_the_copies_download_a_model_once(through_proxy: Place, proxy: Proxy) -> None:
    version = save(through_proxy.store)
    proxy.requests.clear()
    together = threading.Barrier(4)

    def load(_: int) -> np.ndarray:
        store = through_proxy.store
        together.wait(10)
        return store.load(version).weights

    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(load, range(4)))
    assert all(np.array_equal(each, made_model().weights) for each in loaded)
    assert len([line for line in downloads(proxy) if b"weights.npy" in line]) == 1
    assert [path.name for path in through_proxy.cache.iterdir() if path.name.startswith((".s", ".r"))] == []


def test_copies_of_the_model_in_use_and_the_one_before_stay(place: Place) -> None:
    store = place.store
    versions = [save(store, number) for number in range(4)]
    models = [store.load(version) for version in versions]
    kept = sorted(path.name for path in place.cache.iterdir() if not path.name.startswith("."))
    assert kept == [*versions[2:], "current"]
    assert np.array_equal(models[0].weights, made_model(seed=0).weights)  # mapped, though deleted


def test_what_a_process_left_that_died_while_downloading_is_cleared(place: Place) -> None:
    store = place.store
    store.load(save(store))
    left = place.cache / ".saving-left"
    left.mkdir()
    (left / "weights.npy").write_bytes(b"half")
    os.utime(left, (time.time() - 7200,) * 2)
    store.load(save(store, 1))
    assert not left.exists()


def test_a_full_disk_of_copies_is_told_and_leaves_nothing_behind(place: Place) -> None:
    version = save(place.store)
    limited = (
        "import resource, sys, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)); "
        "sys.argv = sys.argv[1:]; runpy.run_module('tests.models.loading', run_name='__main__')"
    )
    options = place.options
    arguments = [place.name, options["endpoint"], options["credentials_file"], options["cache_directory"]]
    done = subprocess.run(
        [sys.executable, "-c", limited, "loading", *map(str, arguments), version],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.endswith(".npy: file too large\n"), done.stderr
    assert str(place.cache) in done.stdout
    assert [path.name for path in place.cache.iterdir() if path.is_dir()] == []
    assert place.store.load(version).version == version


def test_a_damaged_copy_is_not_what_answers_while_the_store_is_away(place: Place) -> None:
    place.store.load(save(place.store))
    assert np.array_equal(place.store.load_kept().weights, made_model().weights)
    (weights,) = place.cache.glob("*/weights.npy")
    flip_a_bit(weights)
    assert refusal(place.store.load_kept).startswith(f"{weights}: was altered after it was written")


@pytest.mark.parametrize("content", ["", "\n", "../../etc\n", "20200101-000000-00000000\n"])
def test_a_note_of_copies_that_names_none_is_no_copy(place: Place, content: str) -> None:
    place.store.load(save(place.store))
    (place.cache / "current").write_text(content)
    refusal(place.store.load_kept)
