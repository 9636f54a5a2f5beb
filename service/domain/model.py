"""What was learned: which books speak for which; knows neither how it was learned nor where it is kept."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NO_FACTORS = np.empty((0, 0), dtype=np.float32)


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
    target_factors: NDArray[np.float32] = field(default_factory=lambda: NO_FACTORS)  # [b, d]
    ranking: RankingSettings = field(default_factory=RankingSettings)
