"""One snapshot's arrays, written and mapped back after verification; knows nothing of which one is in use."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.model import ItemModel
from service.models import manifest as manifests
from service.models.durable_files import new_durable_file, sync_directory
from service.models.errors import ModelError, file_errors
from service.models.verification import broken_rule

# Little-endian on every machine, so that a snapshot may move between them.
ARRAY_TYPES = {
    "book_ids": "<i8",
    "indptr": "<i8",
    "indices": "<i4",
    "weights": "<f4",
    "popularity": "<f4",
}


def write(
    directory: Path, model: ItemModel, *, settings: Mapping[str, Any], data_digest: str
) -> dict[str, Any]:
    """Write a model into an empty directory, bytes on the disk on return, and return its manifest.

    Raises ModelError for a model that breaks the rules, which reading would refuse.
    """
    arrays = {
        name: np.ascontiguousarray(getattr(model, name), dtype=kind) for name, kind in ARRAY_TYPES.items()
    }
    if broken := broken_rule(arrays):
        raise ModelError(f"{directory.parent}: the model was not written: {broken[0]} {broken[1]}")
    described = {}
    for name, array in arrays.items():
        path = directory / f"{name}.npy"
        with new_durable_file(path) as file:
            np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
        described[name] = {"bytes": path.stat().st_size, "length": len(array), "sha256": _sha256(path)}
    manifest = manifests.compose(model, described, settings=settings, data_digest=data_digest)
    with new_durable_file(directory / manifests.MANIFEST) as file:
        file.write(manifests.write_text(manifest).encode())
    sync_directory(directory)
    return manifest


def read(directory: Path) -> ItemModel:
    """Verify a snapshot and map its arrays, read-only.

    Raises ModelError. Costs a pass over the bytes for SHA-256, about 0.1 s for 50 MB, and one for the ranges.
    """
    manifest = manifests.read(directory)
    arrays = {name: _read_array(directory / f"{name}.npy", manifest["arrays"][name]) for name in ARRAY_TYPES}
    if broken := broken_rule(arrays):
        name, rule = broken
        raise ModelError(f"{directory / name}.npy: {name} {rule}")
    return ItemModel(
        version=manifest["version"],
        method=manifest["method"],
        trained_at=manifest["trained_at"],
        reader_count=manifest["reader_count"],
        interaction_count=manifest["interaction_count"],
        metrics=manifest["metrics"],
        **arrays,
    )


def _read_array(path: Path, described: Mapping[str, Any]) -> NDArray:
    with file_errors(path):
        size = path.stat().st_size
        if size != described["bytes"]:
            raise ModelError(f"{path}: has {size} bytes, its manifest says {described['bytes']}")
        if _sha256(path) != described["sha256"]:
            raise ModelError(f"{path}: was altered after it was written (its SHA-256 is not the manifest's)")
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:
            raise ModelError(f"{path}: is not a NumPy array file") from None
    expected = ARRAY_TYPES[path.stem]
    if mapped.dtype != np.dtype(expected) or mapped.shape != (described["length"],):
        raise ModelError(
            f"{path}: holds {mapped.dtype.str}{list(mapped.shape)}, not {expected}[{described['length']}]"
        )
    # A plain view: the memmap class makes every slice on the request path several times dearer.
    return mapped.view(np.ndarray)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
