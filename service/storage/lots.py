"""Interactions as they are read from a database: lots of columns; knows no database."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.interactions import InteractionLog

# The columns that are read, in order, with the types that they have in memory.
COLUMNS: tuple[tuple[str, np.dtype], ...] = (
    ("sequence", np.dtype(np.int64)),
    ("reader_id", np.dtype(np.int64)),
    ("book_id", np.dtype(np.int64)),
    ("type", np.dtype(np.uint8)),
    ("rating", np.dtype(np.float32)),
    ("occurred_at", np.dtype(np.int64)),
)


class StoredInteractions(NamedTuple):
    """Interactions with the numbers that they are stored under."""

    sequences: NDArray[np.int64]
    log: InteractionLog

    @classmethod
    def of(cls, columns: Iterable[NDArray]) -> "StoredInteractions":
        """Make a lot of COLUMNS."""
        sequences, *others = columns
        return cls(sequences, InteractionLog(*others))


def empty() -> StoredInteractions:
    """Return a lot without rows."""
    return StoredInteractions.of(np.empty(0, dtype=kind) for _, kind in COLUMNS)


def joined(lots: Iterable[StoredInteractions]) -> InteractionLog:
    """Return all lots as one log."""
    logs = [empty().log, *(lot.log for lot in lots)]
    return InteractionLog(
        *(
            np.concatenate([getattr(log, name) for log in logs])
            for name in ("reader_ids", "book_ids", "types", "ratings", "occurred_at")
        )
    )
