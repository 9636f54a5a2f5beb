"""What was learned: which books speak for which; knows neither how it was learned nor where it is kept."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# What a request may cost: a fold takes the square of the history's length in memory.
MOST_RERANKED, LONGEST_HISTORY = 1_000, 1_000
LARGEST_EXPONENT = 10.0  # (1 + p)^10 of the longest history is still a float32

NO_FACTORS = np.empty((0, 0), dtype=np.float32)
NO_TARGETS, NO_SCALES = np.empty((0, 0), dtype=np.int8), np.empty(0, dtype=np.float32)
LARGEST_WHOLE_FACTOR = 127


@dataclass(frozen=True, slots=True)
class RankingSettings:
    """How a history is ranked by a model; learned together with it, and kept in its manifest.

    Of a history count the latest `longest_history` books that were liked. With p, the steps from the latest
    of them, 0 for the latest, and r, the preference for it, the score of book j by neighbours is
    s1[j] = Σ (1 + p)^-recency_exponent · r · W[i, j]. The best `rerank_count` by it are ranked anew: with
    E and T, the factors of sources and targets, a = (E Eᵀ + diag((1 + p)^fold_in_exponent / r))⁻¹ 1 over the
    history and s2[j] = T[j] · Eᵀ a, the score is (1 - w) · s1[j] / m1 + w · s2[j] / m2, where w is
    `rerank_weight` and m1, m2 the means of the 20 highest s1 and s2 among those candidates.
    """

    recency_exponent: float = 0.0
    fold_in_exponent: float = 0.0
    rerank_count: int = 200
    rerank_weight: float = 0.0  # 0 to 1; 0: neighbours alone
    longest_history: int = 64
    ordered: bool = False  # whether the order of histories was learned from

    def broken_rule(self) -> str | None:
        """Name the first field with a value that no ranking can be made by, and the rule, or None."""
        for name in ("recency_exponent", "fold_in_exponent"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 <= value <= LARGEST_EXPONENT):
                return f"{name}: {value!r} is not between 0 and {LARGEST_EXPONENT}"
        for name, most in (("rerank_count", MOST_RERANKED), ("longest_history", LONGEST_HISTORY)):
            value = getattr(self, name)
            if not (isinstance(value, int) and 1 <= value <= most):
                return f"{name}: {value!r} is not a whole number between 1 and {most}"
        if not (isinstance(self.rerank_weight, (int, float)) and 0 <= self.rerank_weight <= 1):
            return f"rerank_weight: {self.rerank_weight!r} is not between 0 and 1"
        return None


@dataclass(frozen=True, slots=True)
class ItemModel:
    """Sparse item-to-item neighbours, CSR by source book, and factors that rank the best of them anew.

    Row i lists the books that having read book_ids[i] speaks for. Arrays may be read-only and mapped from
    files. `RankingSettings` tells how they make a ranking.
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
    source_factors: NDArray[np.float32] = field(default_factory=lambda: NO_FACTORS)  # [b, d]; d = 0: none
    # What books are ranked anew by, in whole numbers: T[j] = target_scales[j] · target_factors[j].
    target_factors: NDArray[np.int8] = field(default_factory=lambda: NO_TARGETS)  # [b, d]
    target_scales: NDArray[np.float32] = field(default_factory=lambda: NO_SCALES)  # [b]; [0] without factors
    ranking: RankingSettings = field(default_factory=RankingSettings)
