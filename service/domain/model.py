"""What was learned: which books speak for which; knows neither how it was learned nor where it is kept."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ItemModel:
    """Sparse item-to-item neighbours, CSR by source book.

    Row i lists the books that having read book_ids[i] speaks for; a reader's score of book j is the sum
    over the history h of preference(h) * W[h, j]. Arrays may be read-only and mapped from files.
    """

    version: str
    method: str
    trained_at: int  # microseconds since 1970 UTC
    book_ids: NDArray[np.int64]  # [b], ascending
    indptr: NDArray[np.int64]  # [b + 1]
    indices: NDArray[np.int32]  # [n], positions in book_ids
    weights: NDArray[np.float32]  # [n], finite, >= 0
    popularity: NDArray[np.float32]  # [b], weighted count of readers
    reader_count: int
    interaction_count: int
    metrics: dict[str, float] = field(default_factory=dict)
