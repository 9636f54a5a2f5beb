"""What each book of a history adds to the books that were chosen, exactly; knows arrays alone."""

import numpy as np
from numpy.typing import NDArray

from service.domain.compiled import njit, types
from service.domain.histories import History
from service.domain.ranking.ground import Ground
from service.domain.ranking.kernel import GROUND, SCRATCH, readonly
from service.domain.ranking.scratch import Scratch


def parts(
    scratch: Scratch, ground: Ground, history: History, chosen: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the positions of the books that count, [l], latest first, and what they add to each, [l, c].

    Dislikes are left out: what they take away is no reason.
    """
    liked = np.flatnonzero(history.preferences > 0)[::-1][: len(ground.recency)]
    sources = np.ascontiguousarray(history.positions[liked])
    gains = np.zeros((len(sources), len(chosen)))
    weights = history.preferences[liked] * ground.recency[: len(liked)]
    _add_up(ground, scratch, sources, weights, np.asarray(chosen, dtype=np.int32), gains)
    return sources, gains


@njit(
    types.void(
        GROUND,
        SCRATCH,
        readonly(types.int32),
        readonly(types.float32),
        readonly(types.int32),
        types.float64[:, ::1],
    ),
    nogil=True,
    cache=True,
)
def _add_up(ground, scratch, sources, preferences, chosen, gains):
    place_of, marks = scratch.strongest_source, scratch.chosen
    row_count = len(ground.indptr) - 1
    for place in range(len(chosen)):
        slot = ground.slot_of[chosen[place]]
        marks[slot], place_of[slot] = 1, place
    for step in range(len(sources)):
        row = ground.slot_of[sources[step]]
        if row < row_count:
            for cell in range(ground.indptr[row], ground.indptr[row + 1]):
                slot = ground.indices[cell]
                if marks[slot]:
                    gains[step, place_of[slot]] += preferences[step] * ground.weights[cell]
        if len(ground.content_starts) > 1:
            for cell in range(ground.content_starts[sources[step]], ground.content_starts[sources[step] + 1]):
                slot = ground.slot_of[ground.content_targets[cell]]
                if marks[slot]:
                    gains[step, place_of[slot]] += preferences[step] * ground.content_weights[cell]
    for place in range(len(chosen)):
        marks[ground.slot_of[chosen[place]]] = 0
