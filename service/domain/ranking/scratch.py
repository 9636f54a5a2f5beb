"""What one thread needs to rank: accumulators as long as the catalogue, the same between calls."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.ranking.layout import laid_out

# Slots whose scores lie in one line of memory: what was touched is looked through and cleaned line by line.
BLOCK = 16
REGION = 64  # blocks: where none of these was touched, none is looked at


class Scratch(NamedTuple):
    """Serves one call at a time; see Ground for slots and positions."""

    scores: NDArray[np.float32]  # by slot; 0 between calls
    # The blocks with slots that were touched. One more than there can be of these and of candidates: the
    # place behind the last is written to before it is known.
    touched: NDArray[np.int32]
    seen: NDArray[np.uint8]  # by block, whether it was touched; 0 between calls
    regions: NDArray[np.uint8]  # by so many blocks; 0 between calls
    maxima: NDArray[np.float32]  # the highest score of each block touched
    candidates: NDArray[np.int32]  # slots
    candidate_scores: NDArray[np.float32]
    chosen: NDArray[np.uint8]  # by slot; 0 between calls
    strongest: NDArray[np.float32]  # by slot, of those that are chosen
    strongest_source: NDArray[np.int32]
    marks: NDArray[np.uint8]  # by position; 0 between calls
    layout: NDArray[np.int64]  # of all of these, see there

    @classmethod
    def of(cls, slot_count: int) -> "Scratch":
        """Make one for a ground of so many slots, or of fewer."""
        region_count = -(-slot_count // (BLOCK * REGION))
        block_count = region_count * REGION
        slot_count = block_count * BLOCK
        arrays = (
            np.zeros(slot_count, dtype=np.float32),
            np.zeros(block_count + 1, dtype=np.int32),
            np.zeros(block_count, dtype=np.uint8),
            np.zeros(region_count, dtype=np.uint8),
            np.zeros(block_count, dtype=np.float32),
            np.zeros(slot_count + 1, dtype=np.int32),
            np.zeros(slot_count + 1, dtype=np.float32),
            np.zeros(slot_count, dtype=np.uint8),
            np.zeros(slot_count, dtype=np.float32),
            np.zeros(slot_count, dtype=np.int32),
            np.zeros(slot_count, dtype=np.uint8),
        )
        return cls(*laid_out(arrays))

    @property
    def slot_count(self) -> int:
        """How many slots a ground may have."""
        return len(self.scores)
