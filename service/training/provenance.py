"""What a model was learned from, as a digest; knows nothing of how it was learned."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from service.domain.interactions import InteractionLog


def data_digest(log: InteractionLog, book_ids: NDArray[np.int64]) -> str:
    """Return the SHA-256, in hexadecimal, of a catalogue's ids and all interactions in their order."""
    digest = hashlib.sha256()
    columns = (book_ids, log.reader_ids, log.book_ids, log.types, log.ratings, log.occurred_at)
    for column in columns:
        digest.update(f"{column.dtype.str}{len(column)};".encode())
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()
