"""While the database is away interactions last in a journal, and reach it in order, each once."""

import pytest

from service.domain.errors import Unavailable
from service.domain.recommender import Recommender
from service.failure import Failure
from service.journal import Journal
from service.ledger import Ledger
from service.replaying import replay
from tests.domain.shop import book, log_of
from tests.ledger.conftest import MEBIBYTE
from tests.storage.rows import read


def test_nothing_is_written_while_the_database_answers(ledger, store, directory):
    assert ledger.record([read("a")]) == [True]
    assert store.stored == ["a"]
    assert list(directory.iterdir()) == []


def test_interactions_are_acknowledged_and_stored_in_order_when_it_is_back(ledger, store, journal):
    ledger.record([read("a")])
    store.is_away = True
    assert ledger.record([read("b"), read("c")]) == [True, True]
    assert ledger.record([read("c"), read("d"), read("d")]) == [False, True, False]
    assert ledger.journaled_count == 3
    # It is back, but nobody has noticed yet: what is new goes behind what waits.
    store.is_away = False
    assert ledger.record([read("e")]) == [True]
    assert store.stored == ["a"]
    ledger.database_is(away=False)
    assert store.stored == ["a", "b", "c", "d", "e"]
    assert ledger.replayed_count == 4
    assert journal.is_empty
    assert ledger.record([read("f")]) == [True]
    assert store.stored[-1] == "f"


def test_more_than_a_lot_is_handed_on_in_order(ledger, store, journal):
    store.is_away = True
    names = [f"{n:05}" for n in range(12_000)]
    for start in range(0, len(names), 700):
        ledger.record([read(name) for name in names[start : start + 700]])
    store.is_away = False
    ledger.database_is(away=False)
    assert store.stored == names
    assert journal.is_empty


def test_what_was_stored_although_the_answer_was_lost_is_stored_and_counted_once(ledger, store):
    store.loses_answers = True
    assert ledger.record([read("a"), read("b")]) == [True, True]
    store.loses_answers = store.is_away = False
    with store.reading() as reading:
        ledger.settle(reading)
        ((sequences, _),) = reading.news("0:0").interactions()
    # Whoever follows the database passes over them: memory has them by the journal.
    assert ledger.take_own(sequences).tolist() == [True, True]
    ledger.database_is(away=False)
    assert store.stored == ["a", "b"]


def test_a_database_that_goes_away_again_while_it_catches_up_loses_nothing(ledger, store, journal):
    store.is_away = True
    for number in range(3):
        ledger.record([read(f"{number}-{n}") for n in range(6_000)])
    store.is_away, store.records_left = False, 1
    with pytest.raises(Unavailable):
        ledger.database_is(away=False)
    assert len(store.stored) == 6_000
    assert not journal.is_empty
    store.is_away, store.records_left = False, None
    ledger.database_is(away=False)
    assert store.stored == [f"{number}-{n}" for number in range(3) for n in range(6_000)]


def test_a_reader_cannot_be_forgotten_before_what_the_journal_holds_of_them(ledger, store):
    store.is_away = True
    ledger.record([read("a")])
    store.is_away = False
    with pytest.raises(Unavailable):
        ledger.forget_reader(1)
    ledger.database_is(away=False)
    assert ledger.forget_reader(1) == 1


def test_a_reader_forgotten_elsewhere_meanwhile_does_not_come_back(ledger, store):
    ledger.record([read("a", reader=1)])
    store.is_away = True
    ledger.record([read("b", reader=1), read("c", reader=2)])
    store.is_away = False
    store.database.forget_reader(1)  # another replica's connection was not cut
    ledger.database_is(away=False)
    assert store.stored == ["c"]


def test_a_reader_who_came_back_after_they_were_forgotten_is_kept(ledger, store):
    store.is_away = True
    ledger.record([read("a", reader=1)])
    store.is_away = False
    store.database.forget_reader(1)
    ledger.note_mark(store.mark)  # whoever follows the database has seen it
    ledger.record([read("b", reader=1)])
    ledger.database_is(away=False)
    assert store.stored == ["b"]


def test_a_reader_forgotten_in_the_moment_of_the_replay_does_not_come_back(ledger, store):
    store.is_away = True
    ledger.record([read("a", reader=1), read("b", reader=2)])
    store.is_away = False
    record = store.record

    def record_late(interactions):
        store.database.forget_reader(1)
        return record(interactions)

    store.record = record_late
    ledger.database_is(away=False)
    assert store.stored == ["b"]


def test_what_cannot_be_checked_for_forgotten_readers_stays_in_the_journal(store, directory):
    store.database.record([read(f"{n}") for n in range(10)])
    store.database.forget_reader(1)
    with Journal(directory, store.database.identity, MEBIBYTE) as left:
        left.mark = "0:0"
        left.append([read("a", reader=2)])
    store.database.prune_changes(1 << 62)
    (path,) = directory.iterdir()
    with (
        Journal(directory, store.database.identity, MEBIBYTE) as journal,
        pytest.raises(Failure, match=f"{path}: who was forgotten since .* move it away"),
    ):
        journal.adopt(lambda lot: replay(store, lot))
    assert store.stored == []
    assert path.exists()


def test_read_your_writes_holds_while_it_is_away(ledger, store, recommender):
    store.is_away = True
    ledger.record([read("a", reader=77)])
    assert recommender.reader_count == 1


def test_a_full_journal_refuses_and_keeps_what_it_has(store, directory):
    with Journal(directory, store.database.identity, 2000) as journal:
        ledger = Ledger(store, Recommender.of([book(1)], log_of()), journal)
        ledger.note_mark(store.mark)
        store.is_away = True
        assert ledger.record([read("a")]) == [True]
        with pytest.raises(Unavailable, match="journal is full") as refusal:
            ledger.record([read(f"b-{n}") for n in range(100)])
        assert refusal.value.retry_seconds > 0
        assert ledger.record([read("c")]) == [True]
        store.is_away = False
        ledger.database_is(away=False)
    assert store.stored == ["a", "c"]
