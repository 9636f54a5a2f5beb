"""The constants of learning and where they come from; reads nothing from outside."""

import math
from dataclasses import dataclass

from service.training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How neighbours are learned.

    The defaults were chosen on a random fifth held out of each list of Amazon-Book's train part (KGAT split).
    Recall@20 / NDCG@20 there, 10,000 readers, standard errors .004 / .003: .243 / .145 with these, .245 /
    .146 with 150 neighbours, .177 / .108 with cosine (.5, .5, no shrinkage, equal readers), .032 / .015 by
    popularity.
    """

    source_exponent: float = 0.6  # how much a book read by many counts less as a reason
    target_exponent: float = 0.28  # and how much less it gains as a recommendation; 1 would bury bestsellers
    shrink: float = 3.0  # pulls scores that rest on few readers towards 0, in average readers
    neighbour_count: int = 100  # kept for each source book
    # A reader of n books weighs (n / mean n)^-this: one who read everything says little about taste.
    history_exponent: float = 0.5
    # Co-occurrence costs the square of a history. The books latest read of one this long tell the taste, and
    # at 1,000 a single reader, however long their history, costs a million products at most.
    longest_history: int = 1_000

    def __post_init__(self) -> None:
        for name in ("source_exponent", "target_exponent", "shrink", "history_exponent"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise TrainingError(f"{name}: {value} is not a finite number of 0 or more")
        for name in ("neighbour_count", "longest_history"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name}: {getattr(self, name)} is not 1 or more")
