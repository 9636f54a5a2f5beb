"""Ranks a history on a ground: the one way in which serving and evaluation do it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.histories import History
from service.domain.model import RankingSettings
from service.domain.ranking.ground import Ground
from service.domain.ranking.kernel import rank_arrays
from service.domain.ranking.scratch import Scratch


class Wishes(NamedTuple):
    """What a list is to hold."""

    clauses: NDArray[np.uint64]  # see Catalogue.clauses
    excluded: NDArray[np.int32]  # positions that are left out, whatever else is wished for
    popular: NDArray[np.int32]  # positions in the order in which they fill what the history leaves
    places: int
    include_read: bool = False
    any_edition: bool = False  # several editions of a work, and other editions of what was read
    any_volume: bool = False  # volumes of a series whose earlier ones were not read


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best books: first those that the history speaks for, then popular ones."""

    positions: list[int]
    scores: list[float]  # of the first `learned`; 0 behind them
    sources: list[int]  # the position of the history's book that added most to the score by neighbours
    shares: list[float]  # that book's part of it
    learned: int  # how many follow from the history


def rank(
    scratch: Scratch,
    ground: Ground,
    settings: RankingSettings,
    history: History,
    wishes: Wishes,
    *,
    with_reasons: bool = True,
) -> Ranking:
    """Rank for a history; whatever it says was read or is not wanted is left out as `wishes` have it.

    Without reasons, sources are meaningless and shares are 0.
    """
    books = np.empty((2, wishes.places), dtype=np.int32)  # positions, sources
    numbers = np.zeros((2, wishes.places), dtype=np.float32)  # scores, shares
    learned, count = rank_arrays(
        ground.layout,
        scratch.layout,
        history.positions,
        history.preferences,
        history.read,
        history.unwanted,
        wishes.excluded,
        wishes.clauses,
        wishes.popular,
        wishes.include_read,
        not wishes.any_edition,
        not wishes.any_volume,
        with_reasons,
        settings.rerank_count,
        settings.rerank_weight,
        books,
        numbers,
    )
    positions, sources = books.tolist()
    scores, shares = numbers.tolist()
    return Ranking(positions[:count], scores[:count], sources[:learned], shares[:learned], learned)
