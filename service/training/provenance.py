"""What a model was learned from: the data, as a digest, and what they weighed; knows nothing of how."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.interactions import DEFAULT_WEIGHTS, InteractionLog


def data_digest(log: InteractionLog, book_ids: NDArray[np.int64]) -> str:
    """Return the SHA-256, in hexadecimal, of a catalogue's ids and all interactions in their order."""
    digest = hashlib.sha256()
    columns = (book_ids, log.reader_ids, log.book_ids, log.types, log.ratings, log.occurred_at)
    for column in columns:
        digest.update(f"{column.dtype.str}{len(column)};".encode())
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


def weights_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what interactions weighed when the model of this manifest was learned, by fields."""
    # Before they were recorded, every model was learned by the defaults.
    return manifest["settings"].get("weights", asdict(DEFAULT_WEIGHTS))
