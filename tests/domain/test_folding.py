"""Events folded into the books that count: each rule by itself, with what a reader of it would expect."""

from itertools import pairwise

import numpy as np
import pytest

from service.domain.folding import fold_all
from service.domain.interactions import InteractionLog, InteractionType, event_codes
from tests.domain.shop import did, log_of

VIEW, WISHLIST, PURCHASE, READ, RATING, REMOVE, NOT_INTERESTED = InteractionType


def folded(*interactions):
    """Fold one reader's interactions: {book id: (preference, read, unwanted)}, in the history's order."""
    log = log_of(*interactions).by_time()
    _, *columns = fold_all(
        np.array([0, len(log)]), log.book_ids.astype(np.int32), codes_of(log), log.occurred_at
    )
    rows = zip(*map(np.ndarray.tolist, columns), strict=True)
    return {book: (preference, *flags) for book, preference, *flags in rows}


def codes_of(log: InteractionLog) -> np.ndarray:
    return event_codes(log.types, log.ratings)


def with_one_book(*kinds):
    """Fold what was done with book 5, one after the other; a number is a rating."""
    return folded(
        *(
            did(1, 5, RATING, at=at, rating=kind) if isinstance(kind, float) else did(1, 5, kind, at=at)
            for at, kind in enumerate(kinds)
        )
    ).get(5)


@pytest.mark.parametrize(
    ("kinds", "preference", "read", "unwanted"),
    [
        ([VIEW], 0.2, False, False),
        ([VIEW, WISHLIST], 0.5, False, False),
        ([WISHLIST, VIEW], 0.5, False, False),
        ([PURCHASE, VIEW], 1.0, True, False),
        ([READ], 1.0, True, False),
        ([5.0], 1.0, True, False),
        ([3.0], 0.5, True, False),
        ([1.0], 0.0, True, False),
        ([5.0, 3.0], 0.5, True, False),
        ([VIEW, 2.0], 0.25, True, False),
        ([PURCHASE, 3.0], 1.0, True, False),
        ([NOT_INTERESTED], -1.0, False, True),
        ([PURCHASE, NOT_INTERESTED], -1.0, True, True),
        ([5.0, NOT_INTERESTED], -1.0, True, True),
        ([NOT_INTERESTED, VIEW], -1.0, False, True),
        ([NOT_INTERESTED, WISHLIST], 0.5, False, False),
        ([NOT_INTERESTED, PURCHASE], 1.0, True, False),
        ([NOT_INTERESTED, 4.0], 0.75, True, False),
        ([READ, REMOVE, VIEW], 0.2, False, False),
        ([5.0, REMOVE, 3.0], 0.5, True, False),
        ([NOT_INTERESTED, REMOVE, VIEW], 0.2, False, False),
    ],
    ids=str,
)
def test_what_was_done_with_a_book_tells_how_it_counts(kinds, preference, read, unwanted):
    assert with_one_book(*kinds) == (pytest.approx(preference), read, unwanted)


@pytest.mark.parametrize("kind", [VIEW, WISHLIST, PURCHASE, READ, 5.0, 1.0, NOT_INTERESTED, REMOVE], ids=str)
def test_a_removed_book_was_never_there(kind):
    assert with_one_book(kind, REMOVE) is None
    assert with_one_book(kind, VIEW, REMOVE, REMOVE) is None


def rated(**ratings):
    return [
        did(1, int(name[1:]), RATING, at=at, rating=rating)
        for at, (name, rating) in enumerate(ratings.items())
    ]


def test_a_rating_below_the_mean_speaks_against_the_book_the_more_the_lower_it_is():
    history = folded(*rated(b1=5, b2=4, b3=3, b4=2, b5=1))
    assert [history[book][0] for book in (1, 2, 3, 4, 5)] == pytest.approx([1.0, 0.75, 0.5, -0.25, -0.5])
    assert all(read for _, read, _ in history.values())


def test_a_rating_below_the_mean_outweighs_the_purchase():
    history = folded(*rated(b1=5, b2=1), did(1, 2, PURCHASE, at=9))
    assert history[2] == (-0.5, True, False)


def test_ratings_that_are_all_the_same_are_no_dislikes():
    assert [preference for preference, *_ in folded(*rated(b1=2, b2=2)).values()] == [0.25, 0.25]


def test_a_removed_rating_is_not_in_the_mean():
    assert folded(*rated(b1=5, b2=3))[2][0] == -0.25
    assert folded(*rated(b1=5, b2=3), did(1, 1, REMOVE, at=9)) == {2: (0.5, True, False)}


def test_only_the_last_rating_of_a_book_is_in_the_mean():
    history = folded(*rated(b1=1, b2=4), did(1, 1, RATING, at=9, rating=5))
    assert history[2][0] == pytest.approx((4 - 4.5) / 4)


def test_books_are_in_the_order_of_their_last_events():
    assert list(folded(did(1, 3, at=1), did(1, 4, at=2), did(1, 5, at=3), did(1, 3, VIEW, at=4))) == [4, 5, 3]
    assert list(folded(did(1, 3, at=1), did(1, 4, at=2), did(1, 3, REMOVE, at=3), did(1, 3, at=4))) == [4, 3]


def test_events_of_one_instant_count_in_the_order_of_arrival():
    assert folded(did(1, 5), did(1, 5, REMOVE)) == {}
    assert list(folded(did(1, 5, REMOVE), did(1, 5))) == [5]


def test_an_event_that_is_there_already_has_no_effect():
    assert folded(did(1, 5), did(1, 5, REMOVE), did(1, 5)) == {}
    again = folded(did(1, 5, at=1), did(1, 6, at=1), did(1, 5, at=1))
    assert list(again) == [5, 6]


def test_the_same_at_another_time_or_of_another_rating_is_something_new():
    assert list(folded(did(1, 5), did(1, 5, REMOVE), did(1, 5, at=1))) == [5]
    both = folded(did(1, 5, RATING, rating=5), did(1, 5, RATING, rating=3))
    assert both == {5: (0.5, True, False)}


def test_readers_are_folded_each_by_themselves():
    rng = np.random.default_rng(3)
    starts = np.cumsum([0, 5, 0, 40, 1, 300])
    positions = rng.integers(0, 30, starts[-1]).astype(np.int32) * 4096  # at equal distances
    codes = rng.choice(np.array([1, 2, 3, 4, 6, 7, 18, 21, 26], dtype=np.uint8), starts[-1])
    times = rng.integers(0, 50, starts[-1])  # many of one instant
    for start, end in pairwise(starts):
        times[start:end].sort()
    out_starts, *columns = fold_all(starts, positions, codes, times)
    for reader, (start, end) in enumerate(pairwise(starts)):
        span = slice(start, end)
        _, *alone = fold_all(np.array([0, end - start]), positions[span], codes[span], times[span])
        for column, expected in zip(columns, alone, strict=True):
            assert column[out_starts[reader] : out_starts[reader + 1]].tolist() == expected.tolist()
