"""Verifying a model leaves none of it in the worker's memory, and workers share what they use of it."""

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.models import ModelStore, warm
from tests.models.made_models import DIGEST, made_model
from tests.models.places import directory_place

NEIGHBOURS = 5_000_000
MAPPED_BYTES = NEIGHBOURS * 8  # int32 and float32
ARRAYS = ("book_ids", "indptr", "indices", "weights", "popularity")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A model in use whose neighbours take 40 MB."""
    store = directory_place(tmp_path_factory.mktemp("large")).store
    books = 50_000
    model = replace(
        made_model(books),
        indptr=np.arange(books + 1) * (NEIGHBOURS // books),
        indices=np.arange(NEIGHBOURS, dtype=np.int32) % books,
        weights=np.full(NEIGHBOURS, 0.5, dtype=np.float32),
    )
    store.promote(store.save(model, settings={}, data_digest=DIGEST))
    return store


def resident_file_bytes() -> int:
    """Return the bytes of mapped files that are in this process's memory; from proc(5)."""
    found = re.search(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_a_model_that_was_verified_is_not_in_memory_before_it_is_used(store: ModelStore) -> None:
    before = resident_file_bytes()
    model = store.load()
    after_loading = resident_file_bytes()
    assert float(model.weights.sum()) == NEIGHBOURS / 2
    after_use = resident_file_bytes()
    assert after_loading - before < MAPPED_BYTES / 10
    assert after_use - after_loading > MAPPED_BYTES / 3


def test_verification_beside_calls_takes_the_part_of_a_core_that_it_is_given(store: ModelStore) -> None:
    worked, began = time.thread_time(), time.monotonic()
    store.load(core_share=0.25)
    # Rests are as long as they must be, or longer where others have the core.
    assert time.monotonic() - began > 3 * (time.thread_time() - worked)


def test_a_warmed_model_is_in_memory(store: ModelStore) -> None:
    model = store.load()
    before = resident_file_bytes()
    warm(model)
    assert resident_file_bytes() - before > MAPPED_BYTES / 2
    assert float(model.weights.sum()) == NEIGHBOURS / 2


def test_warming_a_model_that_is_not_mapped_changes_nothing() -> None:
    model = made_model(3)
    warm(model)
    assert np.array_equal(model.weights, made_model(3).weights)


def test_arrays_that_are_handed_on_are_not_copied(store: ModelStore) -> None:
    model = store.load()
    for name in ARRAYS:
        array = getattr(model, name)
        for handed_on in (np.asarray(array), np.ascontiguousarray(array), array[:], array.view()):
            assert np.shares_memory(handed_on, array)
