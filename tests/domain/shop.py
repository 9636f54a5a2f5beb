"""Small shops for the domain's tests."""

from collections.abc import Mapping, Sequence

import numpy as np

from service.domain.books import Book
from service.domain.interactions import Interaction, InteractionLog, InteractionType
from service.domain.model import NO_FACTORS, NO_SCALES, NO_TARGETS, ItemModel, RankingSettings


def book(book_id: int, *categories: str, **fields) -> Book:
    values = {"authors": (f"Author {book_id}",), "categories": categories or ("mystery",)}
    return Book(book_id, f"Book {book_id}", **(values | fields))


def did(
    reader_id: int,
    book_id: int,
    kind: InteractionType = InteractionType.READ,
    *,
    at: int = 0,
    rating: float | None = None,
) -> Interaction:
    return Interaction(f"{reader_id}-{book_id}-{kind}-{at}", reader_id, book_id, kind, at, rating)


def log_of(*interactions: Interaction) -> InteractionLog:
    return InteractionLog.of(interactions)


def model_of(
    neighbours: Mapping[int, Mapping[int, float]],
    book_ids: Sequence[int],
    version: str = "m1",
    *,
    unread: Sequence[int] = (),
    source_factors: np.ndarray = NO_FACTORS,
    target_factors: np.ndarray = NO_TARGETS,
    target_scales: np.ndarray = NO_SCALES,
    ranking: RankingSettings = RankingSettings(),  # noqa: B008 - frozen
) -> ItemModel:
    """Make a model from {source: {target: weight}}; nobody has read the `unread`."""
    ids = np.array(sorted(book_ids), dtype=np.int64)
    place = {book_id: index for index, book_id in enumerate(ids.tolist())}
    rows = [neighbours.get(book_id, {}) for book_id in ids.tolist()]
    return ItemModel(
        version,
        "by hand",
        0,
        ids,
        np.cumsum([0, *map(len, rows)]),
        np.array([place[target] for row in rows for target in row], dtype=np.int32),
        np.array([weight for row in rows for weight in row.values()], dtype=np.float32),
        np.where(np.isin(ids, unread), 0, 1).astype(np.float32),
        reader_count=1,
        interaction_count=1,
        source_factors=source_factors,
        target_factors=target_factors,
        target_scales=target_scales,
        ranking=ranking,
    )
