"""What one thread needs to rank: accumulators as long as the catalogue, the same between calls."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Scratch(NamedTuple):
    """Serves one call at a time; see Ground for slots and positions."""

    scores: NDArray[np.float32]  # by slot; 0 between calls
    # One more than slots can be touched: the place behind the last is written to before it is known.
    touched: NDArray[np.int32]
    chosen: NDArray[np.uint8]  # by slot; 0 between calls
    strongest: NDArray[np.float32]  # by slot, of those that are chosen
    strongest_source: NDArray[np.int32]
    marks: NDArray[np.uint8]  # by position; 0 between calls

    @classmethod
    def of(cls, slot_count: int) -> "Scratch":
        """Make one for a ground of so many slots, or of fewer."""
        return cls(
            np.zeros(slot_count, dtype=np.float32),
            np.zeros(slot_count + 1, dtype=np.int32),
            np.zeros(slot_count, dtype=np.uint8),
            np.zeros(slot_count, dtype=np.float32),
            np.zeros(slot_count, dtype=np.int32),
            np.zeros(slot_count, dtype=np.uint8),
        )

    @property
    def slot_count(self) -> int:
        """How many slots a ground may have."""
        return len(self.scores)
