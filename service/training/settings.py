"""The constants of learning and where they come from; reads nothing from outside."""

import math
from dataclasses import dataclass

from service.domain.interactions import DEFAULT_WEIGHTS, InteractionWeights
from service.domain.model import RankingSettings
from service.training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a model is learned, and how it ranks.

    The defaults, and those of `without_order`, were chosen on holdouts of Amazon-Book's train part (KGAT
    split): the last fifth of each list, and a random fifth.
    """

    ordered: bool = True
    seed: int = 0  # of the factors' first values
    weights: InteractionWeights = DEFAULT_WEIGHTS  # the shop's; serving has to fold histories by the same
    # Co-reading costs the square of a history. The books latest read of one this long tell the taste, and at
    # 1,000 a single reader, however long their history, costs a million products at most.
    longest_history: int = 1_000

    # Neighbours.
    history_exponent: float = 0.3  # a reader of n books weighs (n / mean n)^-this
    backward: float = 0.45  # how much a reader of j before i counts for "after i comes j"
    candidate_count: int = 200  # sources that may speak for a book
    source_exponent: float = 0.6  # how much a book read by many counts less as a candidate
    target_exponent: float = 0.22
    shrink: float = 3.0  # pulls what rests on few readers towards 0, in average readers
    l2: float = 50.0
    l1: float = 0.3
    sweeps: int = 25
    walk_weight: float = 2.0  # how much a second step, to neighbours of neighbours, counts beside the first
    next_weight: float = 0.25  # how much it counts that readers took a book up soon after the other
    next_window: int = 3  # books that are soon after
    next_decay: float = 0.7  # of what counts, with each of them
    neighbour_count: int = 120  # of a book, the strongest of all these

    # Factors.
    factor_count: int = 256  # 0: neighbours alone
    iterations: int = 6
    unobserved: float = 0.01  # weight of a book that was not read
    factor_l2: float = 1.5
    cuts: tuple[float, ...] = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)  # where lists are cut into before and after
    target_unobserved: float = 0.01
    target_l2: float = 1.5

    # Ranking.
    popularity_exponent: float = 0.15  # scores of a book read by d are divided by d^this
    lateness_weight: float = 0.5  # and multiplied by e^(this · how late in lists it stands, -½ to ½)
    recency_exponent: float = 0.5
    fold_in_exponent: float = 1.0
    rerank_count: int = 200
    rerank_weight: float = 0.65
    # In two data sets the latest 32 told as much as all, and each costs the reading of its neighbours.
    served_history: int = 32

    @classmethod
    def without_order(cls) -> "TrainingSettings":
        """Return the settings that take histories as sets."""
        return cls(
            ordered=False,
            backward=1.0,
            walk_weight=0.0,
            next_weight=0.0,
            cuts=(),
            popularity_exponent=0.1,
            lateness_weight=0.0,
            recency_exponent=0.0,
            fold_in_exponent=0.0,
            rerank_weight=0.6,
            served_history=256,  # so long that next to no reader's books are chosen by time
        )

    def ranking(self) -> RankingSettings:
        """Return what serving has to know."""
        return RankingSettings(
            recency_exponent=self.recency_exponent,
            fold_in_exponent=self.fold_in_exponent,
            rerank_count=self.rerank_count,
            rerank_weight=self.rerank_weight if self.factor_count else 0.0,
            longest_history=self.served_history,
            ordered=self.ordered,
        )

    def __post_init__(self) -> None:
        for name in (
            "history_exponent", "backward", "source_exponent", "target_exponent", "shrink", "l1",
            "walk_weight", "next_weight", "popularity_exponent", "recency_exponent", "fold_in_exponent",
            "lateness_weight",
        ):  # fmt: skip
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise TrainingError(f"{name}: {value} is not a finite number of 0 or more")
        for name in ("l2", "unobserved", "factor_l2", "target_unobserved", "target_l2"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise TrainingError(f"{name}: {value} is not a finite number above 0")
        for name in (
            "longest_history", "candidate_count", "sweeps", "next_window", "neighbour_count", "iterations",
            "rerank_count", "served_history",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise TrainingError(f"{name}: {getattr(self, name)} is not 1 or more")
        if self.factor_count < 0:
            raise TrainingError(f"factor_count: {self.factor_count} is not 0 or more")
        for name in ("next_decay", "rerank_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{name}: {getattr(self, name)} is not between 0 and 1")
        if not all(0 < cut < 1 for cut in self.cuts):
            raise TrainingError(f"cuts: {self.cuts} are not all between 0 and 1")
