"""What one thread needs to rank: accumulators as long as the catalogue, the same between calls."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Scratch(NamedTuple):
    """Serves one call at a time."""

    scores: NDArray[np.float32]
    strongest: NDArray[np.float32]
    strongest_source: NDArray[np.int32]
    marks: NDArray[np.uint8]
    touched: NDArray[np.int32]

    @classmethod
    def of(cls, position_count: int) -> "Scratch":
        """Make one for a catalogue of so many positions, or of fewer."""
        return cls(
            np.zeros(position_count, dtype=np.float32),
            np.full(position_count, np.inf, dtype=np.float32),
            np.zeros(position_count, dtype=np.int32),
            np.zeros(position_count, dtype=np.uint8),
            # One more than can be touched: the place behind the last one is written to before it is known.
            np.zeros(position_count + 1, dtype=np.int32),
        )

    @property
    def position_count(self) -> int:
        """How many positions a catalogue may have."""
        return len(self.marks)
