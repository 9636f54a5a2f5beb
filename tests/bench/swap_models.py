"""Two models to swap between, as large as they are wanted, in a directory or a bucket; measures nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from service.models import ModelStore
from tests.s3 import S3Server

_SEED = 20_261_124
_NEIGHBOURS = 100  # of a made-up book
# In a shop the bucket is on other machines: here it must not take the core from the load.
_NICENESS = 19


@dataclass(frozen=True)
class SwapModels:
    """The models and the service's settings to use them."""

    store: ModelStore
    versions: list[str]
    size_bytes: int  # of each
    settings: dict[str, object]


@contextmanager
def swap_models(directory: Path, made_up_books: int, *, in_bucket: bool, core: int) -> Iterator[SwapModels]:
    """Save two models made from the trained one in `directory`/models; a bucket's server runs on `core`."""
    trained = ModelStore.open(str(directory / "models"), cache_directory=directory / "models-cache")
    if not in_bucket:
        settings: dict[str, object] = {"models_url": directory / "models"}
        yield _saved(trained, trained, made_up_books, settings)
        return
    with S3Server() as server:
        os.sched_setaffinity(server.process_id, {core})
        os.setpriority(os.PRIO_PROCESS, server.process_id, _NICENESS)
        bucket, _ = server.new_bucket()
        settings = {
            "models_url": f"s3://{bucket}/bench",
            "models_endpoint": server.endpoint,
            "models_credentials_file": server.credentials_file,
            "models_cache_directory": directory / "models-cache",
        }
        store = ModelStore.open(
            f"s3://{bucket}/bench",
            cache_directory=directory / "other-cache",  # as on another machine
            endpoint=server.endpoint,
            credentials_file=server.credentials_file,
        )
        yield _saved(trained, store, made_up_books, settings)


def _saved(
    trained: ModelStore, store: ModelStore, made_up_books: int, settings: dict[str, object]
) -> SwapModels:
    """Save the trained model twice with more books, as if trained some seconds later, and promote one."""
    model = trained.load()
    manifest = trained.manifest(model.version)
    chance = np.random.default_rng(_SEED)
    made_up = made_up_books * _NEIGHBOURS
    larger = replace(
        model,
        book_ids=np.append(model.book_ids, model.book_ids[-1] + 1 + np.arange(made_up_books)),
        indptr=np.append(model.indptr, model.indptr[-1] + _NEIGHBOURS * (1 + np.arange(made_up_books))),
        indices=np.append(model.indices, chance.integers(0, made_up_books + 1, made_up, dtype=np.int32)),
        weights=np.append(model.weights, chance.random(made_up, dtype=np.float32)),
        popularity=np.append(model.popularity, np.zeros(made_up_books, dtype=np.float32)),
    )
    versions = [
        store.save(
            replace(larger, trained_at=model.trained_at + seconds * 1_000_000),
            settings=manifest["settings"],
            data_digest=manifest["data_digest"],
        )
        for seconds in (1, 2)
    ]
    store.promote(versions[0])
    return SwapModels(store, versions, store.list()[0].size_bytes, settings)
