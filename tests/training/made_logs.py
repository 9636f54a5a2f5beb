"""Makes small interaction logs for the tests of training."""

import math
from collections.abc import Iterable

import numpy as np

from service.domain.interactions import Interaction, InteractionLog, InteractionType


def log_of(rows: Iterable[tuple], step_microseconds: int = 1_000_000) -> InteractionLog:
    """Make a log of (reader id, book id[, type[, rating]]), one after the other; READ by default."""
    interactions = []
    for place, (reader_id, book_id, *rest) in enumerate(rows):
        kind = rest[0] if rest else InteractionType.READ
        rating = rest[1] if len(rest) > 1 else None
        occurred_at = place * step_microseconds
        interactions.append(Interaction(f"i-{place}", reader_id, book_id, kind, occurred_at, rating))
    return InteractionLog.of(interactions)


def random_log(
    readers: int = 60, books: int = 40, interactions: int = 900, seed: int = 0
) -> tuple[InteractionLog, np.ndarray]:
    """Make a log of every type and rating, repeats included, and the ids of its books, with gaps."""
    random = np.random.default_rng(seed)
    book_ids = np.cumsum(random.integers(1, 7, books)).astype(np.int64)
    types = random.integers(1, 8, interactions).astype(np.uint8)
    ratings = np.where(types == InteractionType.RATING, random.integers(1, 6, interactions), math.nan)
    log = InteractionLog(
        random.integers(1, readers + 1, interactions) * 1_000_003,
        book_ids[(random.random(interactions) ** 2 * books).astype(np.int64)],
        types,
        ratings.astype(np.float32),
        random.integers(0, 10**15, interactions),
    )
    return log, book_ids


def history_by_loops(log: InteractionLog, reader_id: int) -> dict[int, float]:
    """Fold a reader's events one by one: the preference of each book, in the order of the last events."""
    log = log.by_time()
    history: dict[int, dict[str, float]] = {}
    for reader, book, kind, rating in zip(
        log.reader_ids.tolist(), log.book_ids.tolist(), log.types.tolist(), log.ratings.tolist(), strict=True
    ):
        if reader != reader_id:
            continue
        cell = history.pop(book, {})
        if kind == InteractionType.REMOVE:
            continue
        if kind == InteractionType.NOT_INTERESTED:
            cell["unwanted"] = 1
        else:
            if kind != InteractionType.VIEW:
                cell.pop("unwanted", None)
            if kind == InteractionType.RATING and not math.isnan(rating):
                cell["rating"] = rating
            else:
                cell["strongest"] = max(cell.get("strongest", 0.0), [0, 0.2, 0.5, 1, 1, 1][kind])
        history[book] = cell
    ratings = [cell["rating"] for cell in history.values() if "rating" in cell]
    mean = sum(ratings) / len(ratings) if ratings else 0
    preferences = {}
    for book, cell in history.items():
        if "unwanted" in cell:
            preferences[book] = -1.0
        elif "rating" in cell and cell["rating"] < mean:
            preferences[book] = (cell["rating"] - mean) / 4
        else:
            preferences[book] = max(cell.get("strongest", 0.0), (cell.get("rating", 1.0) - 1) / 4)
    return preferences
