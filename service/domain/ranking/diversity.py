"""Maximal marginal relevance: the best books first that are not like those before them; knows arrays alone.

Alike are books that are each other's neighbours in the model. Source: Carbonell and Goldstein 1998.
"""

import numpy as np

from service.domain.compiled import njit, types
from service.domain.ranking.ground import Ground
from service.domain.ranking.kernel import GROUND, SCRATCH, readonly
from service.domain.ranking.rank import Ranking
from service.domain.ranking.scratch import Scratch

# So many of the best are put in another order: whoever looks further wants to see everything.
POOL = 100


def diversified(ranking: Ranking, diversity: float, scratch: Scratch, ground: Ground) -> list[int]:
    """Return the order of a ranking's places, the best `POOL` of those that were learned by relevance and
    novelty, the others as they are.

    Each next book has the greatest (1 - diversity) · relevance - diversity · likeness: its score as a part of
    the best one's, and the largest likeness to a book before it, 0 to 1.
    """
    count = min(POOL, ranking.learned)
    order = np.arange(len(ranking.positions), dtype=np.int32)
    positions = np.array(ranking.positions[:count], dtype=np.int32)
    scores = np.array(ranking.scores[:count], dtype=np.float32)
    _reorder(ground, scratch, positions, scores, diversity, order[:count])
    return order.tolist()


@njit(
    types.void(
        GROUND,
        SCRATCH,
        readonly(types.int32),
        readonly(types.float32),
        types.float64,
        types.int32[::1],
    ),
    nogil=True,
    cache=True,
)
def _reorder(ground, scratch, positions, scores, diversity, order):
    count = len(positions)
    # Where each slot stands among these; only for those that are chosen.
    place_of, chosen = scratch.strongest_source, scratch.chosen
    alike = np.zeros((count, count), dtype=np.float32)
    for place in range(count):
        slot = ground.slot_of[positions[place]]
        chosen[slot], place_of[slot] = 1, place
    for place in range(count):
        row = ground.slot_of[positions[place]]
        if row >= len(ground.indptr) - 1:
            continue
        largest = np.float32(0)
        for cell in range(ground.indptr[row], ground.indptr[row + 1]):
            largest = max(largest, ground.weights[cell])
        for cell in range(ground.indptr[row], ground.indptr[row + 1]):
            target = ground.indices[cell]
            if chosen[target] and largest > 0:
                other = place_of[target]
                likeness = ground.weights[cell] / largest
                alike[place, other] = max(alike[place, other], likeness)
                alike[other, place] = max(alike[other, place], likeness)
    for place in range(count):
        chosen[ground.slot_of[positions[place]]] = 0

    lowest = min(np.float32(0), scores.min()) if count else np.float32(0)
    span = scores.max() - lowest if count else np.float32(1)
    nearest = np.zeros(count, dtype=np.float32)
    taken = np.zeros(count, dtype=np.bool_)
    for place in range(count):
        best, best_value = -1, -np.inf
        for other in range(count):
            relevance = (scores[other] - lowest) / span if span > 0 else np.float32(0)
            value = (1 - diversity) * relevance - diversity * nearest[other]
            # Of equal ones that which was first.
            if not taken[other] and value > best_value:
                best, best_value = other, value
        taken[best] = True
        order[place] = best
        for other in range(count):
            nearest[other] = max(nearest[other], alike[best, other])
