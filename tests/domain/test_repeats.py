"""What is there already is found, and a history is the same without it and without times."""

import numpy as np
import pytest

from service.domain.folding import fold_all
from service.domain.histories import EventPages
from service.domain.repeats import repeated
from tests.domain.shop import did, log_of


def random_events(rng: np.random.Generator, count: int, spread: int) -> tuple[np.ndarray, ...]:
    """Make reader ids, times, positions and codes, by reader and time; a smaller spread makes more alike."""
    readers, times = rng.integers(1, spread + 1, count), rng.integers(0, spread, count)
    order = np.lexsort((times, readers))
    positions = rng.integers(0, spread, count).astype(np.int32)
    codes = rng.choice(np.array([1, 4, 6, 7, 18, 26], dtype=np.uint8), count)
    return readers[order], times[order], positions, codes


@pytest.mark.parametrize("spread", [1, 2, 3, 6, 1000])
@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_an_event_that_came_before_is_found(count, spread):
    columns = random_events(np.random.default_rng(spread), count, spread)
    seen, expected = set(), []
    for event in zip(*(column.tolist() for column in columns), strict=True):
        expected.append(event in seen)
        seen.add(event)
    assert repeated(*columns).tolist() == expected


@pytest.mark.parametrize("spread", [1, 2, 3, 6])
def test_histories_are_the_same_without_repeats_and_times(spread):
    readers, times, positions, codes = random_events(np.random.default_rng(spread), 500, spread)
    again = repeated(readers, times, positions, codes)
    starts = np.append(np.unique(readers, return_index=True)[1], len(readers))
    fewer = np.append(np.unique(readers[~again], return_index=True)[1], np.count_nonzero(~again))
    with_all = fold_all(starts, positions, codes, times)
    without = fold_all(fewer, positions[~again], codes[~again], times[:0])
    for column, expected in zip(without, with_all, strict=True):
        assert column.tolist() == expected.tolist()


def test_pages_hold_each_thing_once():
    log = log_of(did(7, 1), did(8, 1), did(7, 1), did(7, 1, at=1), did(9, 3))
    pages = EventPages.of(log, log.book_ids.astype(np.int32))
    assert (pages.reader_ids.tolist(), pages.starts.tolist()) == ([7, 8, 9], [0, 2, 3, 4])
    assert pages.times.tolist() == [0, 1, 0, 0]
