"""What readers did, in memory: events that come late, twice or after a reader was forgotten."""

import numpy as np
import pytest

from service.domain.histories import EventPages, Histories
from service.domain.interactions import InteractionType
from tests.domain.shop import did, log_of

VIEW, WISHLIST, PURCHASE, READ, RATING, REMOVE, NOT_INTERESTED = InteractionType


def positions_in(log):
    """Give book n the position n; the catalogue lacks book 99."""
    return np.where(log.book_ids == 99, -1, log.book_ids).astype(np.int32)


def histories_of(*interactions):
    log = log_of(*interactions).by_time()
    return Histories(EventPages.of(log, positions_in(log)))


def learn(histories, *interactions):
    log = log_of(*interactions)
    histories.learn(log, positions_in(log))


def content(history):
    return [
        column.tolist() for column in (history.positions, history.preferences, history.read, history.unwanted)
    ]


def test_an_undo_that_comes_before_what_it_undoes_holds():
    live = histories_of()
    learn(live, did(7, 5, REMOVE, at=20))
    learn(live, did(7, 5, PURCHASE, at=10))
    assert len(live.of(7)) == 0
    learn(live, did(7, 5, PURCHASE, at=30))
    assert live.of(7).positions.tolist() == [5]


def test_a_late_event_takes_its_place_by_its_time_among_stored_ones():
    live = histories_of(did(7, 1, at=10), did(7, 3, at=30))
    learn(live, did(7, 2, at=20))
    assert live.of(7).positions.tolist() == [1, 2, 3]
    learn(live, did(7, 3, NOT_INTERESTED, at=25))
    assert live.of(7).unwanted.tolist() == [False, False, False]


def test_events_that_come_twice_have_no_effect():
    events = [did(7, 1, at=10), did(7, 2, WISHLIST, at=20), did(7, 1, REMOVE, at=30), did(7, 3, at=30)]
    live = histories_of(*events)
    before = content(live.of(7))
    learn(live, *events)
    learn(live, *reversed(events))
    assert content(live.of(7)) == before


@pytest.mark.parametrize("a_time", [1, 7, 200])
def test_many_events_one_by_one_are_as_if_they_had_been_there_at_the_start(a_time):
    rng = np.random.default_rng(a_time)
    kinds = rng.choice([VIEW, WISHLIST, PURCHASE, READ, REMOVE, NOT_INTERESTED], 300).tolist()
    books = rng.integers(1, 40, 300).tolist()
    events = [
        did(7, book_id, InteractionType(kind), at=at)
        for at, (book_id, kind) in enumerate(zip(books, kinds, strict=True))
    ]
    shuffled = [events[place] for place in rng.permutation(300)]
    live = histories_of(*shuffled[:50])
    for start in range(50, 300, a_time):
        learn(live, *shuffled[start : start + a_time])
    assert content(live.of(7)) == content(histories_of(*events).of(7))


def test_what_was_given_out_does_not_change():
    live = histories_of(did(7, 1))
    learn(live, did(7, 2, at=1))
    before = live.of(7)
    kept, news = content(before), live.news_of(7)
    learn(live, did(7, 3, at=2))
    assert content(before) == kept
    assert live.news_of(7) is not news


def test_books_that_the_catalogue_lacks_are_left_out():
    live = histories_of(did(7, 99), did(8, 99), did(8, 1))
    learn(live, did(7, 99, at=1), did(9, 99))
    assert len(live.of(7)) == len(live.of(9)) == 0
    assert len(live) == 1


def test_readers_are_counted_through_every_change():
    live = histories_of(did(1, 1), did(2, 1))
    assert len(live) == 2
    learn(live, did(2, 2, at=1), did(3, 1))
    learn(live, did(3, 2))
    assert len(live) == 3
    live.forget(2)
    live.forget(2)
    live.forget(404)
    assert len(live) == 2
    learn(live, did(2, 1, at=2))
    assert len(live) == 3


def test_a_forgotten_reader_begins_anew():
    live = histories_of(did(7, 1), did(7, 2, at=1))
    learn(live, did(7, 3, at=2))
    live.forget(7)
    assert len(live.of(7)) == 0
    learn(live, did(7, 4, at=3))
    assert live.of(7).positions.tolist() == [4]


def test_replacing_a_reader_takes_their_events_from_the_log_alone():
    live = histories_of(did(7, 1), did(8, 1))
    learn(live, did(7, 2, at=1))
    log = log_of(did(7, 5, at=9), did(7, 4, at=8), did(7, 99, at=7))
    live.replace(7, log, positions_in(log))
    assert live.of(7).positions.tolist() == [4, 5]
    live.replace(8, log_of(), positions_in(log_of()))
    assert (len(live.of(8)), len(live)) == (0, 1)


def test_pages_may_be_read_only_files(tmp_path):
    log = log_of(did(7, 1), did(3, 2, at=1), did(7, 2, at=2)).by_time()
    made = EventPages.of(log, positions_in(log))
    mapped = []
    for name in EventPages.__slots__:
        np.save(tmp_path / name, getattr(made, name))
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    live = Histories(EventPages(*mapped))
    assert live.of(7).positions.tolist() == [1, 2]
    learn(live, did(7, 3, at=3))
    assert live.of(7).positions.tolist() == [1, 2, 3]


def test_the_kept_history_of_a_reader_with_very_many_events_ends_with_the_next_one():
    live = histories_of(*(did(7, 1 + at % 50, VIEW, at=at) for at in range(5000)))
    assert len(live.of(7)) == 50
    assert live.of(7) is live.of(7)
    learn(live, did(7, 77, at=5000))
    assert len(live.of(7)) == 51
    live.forget(7)
    assert len(live.of(7)) == 0
