"""Makes small models for the tests of snapshots; nothing in them was learned."""

import numpy as np

from service.domain.model import ItemModel, RankingSettings

TRAINED_AT = 1_795_000_000_000_000  # microseconds since 1970 UTC
SETTINGS = {"shrink": 3.0, "neighbour_count": 100}
DIGEST = "0" * 64


def made_model(book_count: int = 40, seed: int = 0, trained_at: int = TRAINED_AT) -> ItemModel:
    """Make a model of random neighbours that keeps every rule; the same for the same arguments."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, 5, book_count) if book_count else np.empty(0, dtype=np.int64)
    total = int(counts.sum())
    return ItemModel(
        version="",
        method="made up",
        trained_at=trained_at,
        book_ids=np.cumsum(random.integers(1, 9, book_count)).astype(np.int64),
        indptr=np.append(0, np.cumsum(counts)).astype(np.int64),
        indices=random.integers(0, max(book_count, 1), total).astype(np.int32),
        weights=random.random(total).astype(np.float32),
        popularity=(random.random(book_count) * 9).astype(np.float32),
        reader_count=7,
        interaction_count=99,
        metrics={"recall@20": 0.25},
        source_factors=random.standard_normal((book_count, 8), dtype=np.float32),
        target_factors=random.integers(-127, 128, (book_count, 8), dtype=np.int8),
        target_scales=random.random(book_count, dtype=np.float32),
        ranking=RankingSettings(recency_exponent=0.5, fold_in_exponent=1.0, rerank_weight=0.7, ordered=True),
    )
