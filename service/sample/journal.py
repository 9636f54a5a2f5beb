"""Turns the books that made-up readers take up into what a shop sees of it; knows nothing of why they did.

Each book leaves one of `PATHS`, from a mere look to a rating; one that is more to the reader's taste tends to
leave more. Readers join all through the two years and are evenly active from then on; a step that would fall
after the end is not in the log yet. Ratings follow liking, the book's own quality and the day's mood.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.interactions import HIGHEST_RATING, LOWEST_RATING, Interaction, InteractionType

_VIEW, _WISHLIST, _PURCHASE, _READ, _RATING, *_ = InteractionType

_SECOND = 1_000_000  # microseconds
_DAY = 86_400 * _SECOND
# Two whole years, so that every season counts twice; fixed, so that the sample never changes.
FIRST_INSTANT = int(datetime(2024, 11, 1, tzinfo=UTC).timestamp()) * _SECOND
END_INSTANT = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * _SECOND
LATEST_JOINING = 0.85  # of the two years: nobody's whole history is a few days long

# What the shop sees of one book and one reader, least committed first, with its share.
PATHS: tuple[tuple[tuple[InteractionType, ...], float], ...] = (
    ((_VIEW,), 0.20),
    ((_VIEW, _WISHLIST), 0.07),
    ((_VIEW, _PURCHASE), 0.10),
    ((_PURCHASE,), 0.08),
    ((_READ,), 0.15),
    ((_VIEW, _PURCHASE, _READ), 0.05),
    ((_RATING,), 0.14),
    ((_READ, _RATING), 0.15),
    ((_PURCHASE, _READ, _RATING), 0.06),
)
KEENNESS = 0.12  # how far one standard deviation of liking moves a book along the paths
# Mean wait before a step that is not the first: a wish in the same visit, a parcel, a week or two of reading.
MEAN_WAITS = {_WISHLIST: 300 * _SECOND, _PURCHASE: 2 * _DAY, _READ: 9 * _DAY, _RATING: _DAY}
_STEPS = max(len(steps) for steps, _ in PATHS)

# Readers rate what they chose, so most ratings are high: mean and spread are those of public book ratings.
MEAN_RATING = 3.8
LIKING_IN_RATING = 0.6  # per standard deviation of liking among the books that were taken up
QUALITY_IN_RATING = 0.4
MOOD_IN_RATING = 0.6


def write_journal(
    books: Sequence[Book],
    liking: NDArray[np.float32],
    chosen: NDArray[np.bool_],
    order: NDArray[np.float64],
    random: np.random.Generator,
) -> Iterator[Interaction]:
    """Yield the interactions of all readers by time.

    `liking`, `chosen` and `order` are readers x books: how much a book is liked, whether it is taken up, and
    its place in the reader's time, ascending. Reader ids are row numbers from 1.
    """
    readers, places = np.nonzero(chosen)
    by_time = np.lexsort((order[readers, places], readers))
    readers, places = readers[by_time], places[by_time]
    keen = liking[readers, places]
    keen = (keen - keen.mean()) / max(float(keen.std()), 1e-6)

    started = _start_times(readers, len(chosen), random)
    types, times = _steps(keen, started, random)
    quality = random.normal(size=len(books))[places]
    ratings = _ratings(keen, quality, random)

    pair, step = np.nonzero((types > 0) & (times < END_INSTANT))
    happened = np.lexsort((step, readers[pair], times[pair, step]))
    pair, step = pair[happened], step[happened]
    columns = zip(
        (readers[pair] + 1).tolist(),
        places[pair].tolist(),
        types[pair, step].tolist(),
        times[pair, step].tolist(),
        ratings[pair].tolist(),
        strict=True,
    )
    for number, (reader_id, place, kind, occurred_at, rating) in enumerate(columns, start=1):
        yield Interaction(
            interaction_id=f"sample-{number}",
            reader_id=reader_id,
            book_id=books[place].id,
            type=InteractionType(kind),
            occurred_at=occurred_at,
            rating=rating if kind == _RATING else None,
        )


def _start_times(
    readers: NDArray[np.int64], reader_count: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Tell when each book was taken up, ascending within a reader; microseconds since 1970 UTC."""
    span = END_INSTANT - FIRST_INSTANT
    joined = FIRST_INSTANT + span * LATEST_JOINING * random.random(reader_count)[readers]
    moments = random.random(len(readers))
    moments = moments[np.lexsort((moments, readers))]
    return (joined + (END_INSTANT - joined) * moments).astype(np.int64)


def _steps(
    keen: NDArray[np.float32], started: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return books taken up x steps: the types (0 where the path has ended) and their times."""
    shares = np.cumsum([share for _, share in PATHS])
    along = np.clip(random.random(len(keen)) + KEENNESS * keen, 0, 1 - 1e-9)
    table = np.zeros((len(PATHS), _STEPS), dtype=np.uint8)
    waits = np.zeros((len(PATHS), _STEPS))
    for row, (steps, _) in enumerate(PATHS):
        table[row, : len(steps)] = steps
        waits[row, 1 : len(steps)] = [MEAN_WAITS[step] for step in steps[1:]]
    path = np.minimum(np.searchsorted(shares, along, side="right"), len(PATHS) - 1)
    # At least a second apart, so that the steps of one book never share an instant.
    gaps = waits[path] * random.exponential(size=(len(keen), _STEPS))
    gaps[:, 1:] += _SECOND
    return table[path], started[:, np.newaxis] + np.cumsum(gaps, axis=1).astype(np.int64)


def _ratings(
    keen: NDArray[np.float32], quality: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return what each book would be rated, 1 to 5 in half steps."""
    mood = random.normal(size=len(keen))
    exact = MEAN_RATING + LIKING_IN_RATING * keen + QUALITY_IN_RATING * quality + MOOD_IN_RATING * mood
    return np.clip(np.round(exact * 2) / 2, LOWEST_RATING, HIGHEST_RATING)
