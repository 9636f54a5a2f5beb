"""One snapshot's arrays, written and mapped back after verification; knows nothing of which one is in use."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.model import ItemModel
from service.models import manifest as manifests
from service.models.durable_files import new_durable_file, sync_directory
from service.models.errors import ModelError, file_errors
from service.models.mapped_arrays import give_back, map_array
from service.models.pace import AT_FULL_SPEED, Pace
from service.models.verification import broken_rule


class ArrayKind(NamedTuple):
    """What an array of a snapshot must be."""

    dtype: str
    dimensions: int


# The fields of ItemModel that are arrays. Little-endian on every machine, so that a snapshot may move
# between them.
ARRAYS = {
    "book_ids": ArrayKind("<i8", 1),
    "indptr": ArrayKind("<i8", 1),
    "indices": ArrayKind("<i4", 1),
    "weights": ArrayKind("<f4", 1),
    "popularity": ArrayKind("<f4", 1),
    "source_factors": ArrayKind("<f4", 2),
    "target_factors": ArrayKind("|i1", 2),
    "target_scales": ArrayKind("<f4", 1),
}
# The manifest last: where it is, the arrays are.
FILES = (*(f"{name}.npy" for name in ARRAYS), manifests.MANIFEST)
# A core is busy with it for two tenths of a millisecond, which no call notices.
_DIGEST_BLOCK_BYTES = 256 * 1024


def write(
    directory: Path,
    model: ItemModel,
    *,
    settings: Mapping[str, Any],
    data_digest: str,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a model into an empty directory, bytes on the disk on return, and return its manifest.

    Raises ModelError for a model that breaks the rules, which reading would refuse.
    """
    arrays = {
        name: np.ascontiguousarray(getattr(model, name), dtype=kind.dtype) for name, kind in ARRAYS.items()
    }
    if broken := broken_rule(arrays):
        raise ModelError(f"{directory.parent}: the model was not written: {broken[0]} {broken[1]}")
    described = {}
    for name, array in arrays.items():
        path = directory / f"{name}.npy"
        with new_durable_file(path) as file:
            np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
        described[name] = {
            "bytes": path.stat().st_size,
            "shape": list(array.shape),
            "sha256": _sha256(path, AT_FULL_SPEED),
        }
    manifest = manifests.compose(
        model, described, settings=settings, data_digest=data_digest, provenance=provenance
    )
    with new_durable_file(directory / manifests.MANIFEST) as file:
        file.write(manifests.write_text(manifest).encode())
    sync_directory(directory)
    return manifest


def read(directory: Path, *, name: str = "", pace: Pace = AT_FULL_SPEED) -> ItemModel:
    """Verify a snapshot and map its arrays, read-only; what was looked at does not stay in memory.

    `name` is what messages call the snapshot, ending in its version: the directory's unless given.
    Raises ModelError. Costs a pass over the bytes for SHA-256 and one for the ranges, together about 0.1 s
    of a core for 100 MB, at the pace that is given.
    """
    name = name or str(directory)
    path = directory / manifests.MANIFEST
    manifest = manifests.parse(manifests.read_text(path), f"{name}/{path.name}", name.rpartition("/")[2])
    arrays = {
        each: _read_array(directory / f"{each}.npy", f"{name}/{each}.npy", manifest["arrays"][each], pace)
        for each in ARRAYS
    }

    def seen(each: str) -> None:
        give_back(arrays[each])
        pace.rest()

    if broken := broken_rule(arrays, seen=seen):
        array, rule = broken
        raise ModelError(f"{name}/{array}.npy: {array} {rule}")
    return ItemModel(
        version=manifest["version"],
        method=manifest["method"],
        trained_at=manifest["trained_at"],
        reader_count=manifest["reader_count"],
        interaction_count=manifest["interaction_count"],
        metrics=manifest["metrics"],
        ranking=manifests.ranking(manifest, f"{name}/{path.name}"),
        **arrays,
    )


def _read_array(path: Path, name: str, described: Mapping[str, Any], pace: Pace) -> NDArray:
    with file_errors(path):
        size = path.stat().st_size
        if size != described["bytes"]:
            raise ModelError(f"{name}: has {size} bytes, its manifest says {described['bytes']}")
        if _sha256(path, pace) != described["sha256"]:
            raise ModelError(f"{name}: was altered after it was written (its SHA-256 is not the manifest's)")
        try:
            mapped = map_array(path)
        except ValueError:
            raise ModelError(f"{name}: is not a NumPy array file") from None
    expected = ARRAYS[path.stem]
    is_expected = mapped.dtype == np.dtype(expected.dtype) and mapped.ndim == expected.dimensions
    if not is_expected or list(mapped.shape) != described["shape"]:
        raise ModelError(
            f"{name}: holds {mapped.dtype.str}{list(mapped.shape)}, not {expected.dtype}{described['shape']}"
        )
    return mapped


def _sha256(path: Path, pace: Pace) -> str:
    digest, block = hashlib.sha256(), memoryview(bytearray(_DIGEST_BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while length := file.readinto(block):
            digest.update(block[:length])
            pace.rest()
    return digest.hexdigest()
