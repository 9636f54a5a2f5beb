"""Batches of concurrent callers are stored together, each with its own outcome."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.domain.errors import Unavailable
from service.domain.interactions import Interaction
from service.domain.recommender import Recommender
from service.groups import Turns
from service.ledger import Ledger
from service.storage import Database, migrate
from tests.domain.shop import book, log_of
from tests.storage.rows import read
from tests.tools import wait_until


class SlowStore:
    """A store that waits to be let go, and refuses what it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.go = threading.Event()
        self.refused: set[str] = set()
        self._sequence = 0

    def record(self, interactions: Sequence[Interaction]) -> list[int]:
        assert self.go.wait(20)
        names = [each.interaction_id for each in interactions]
        self.groups.append(names)
        if self.refused.intersection(names):
            raise ValueError("refused")
        first, self._sequence = self._sequence + 1, self._sequence + len(names)
        return list(range(first, self._sequence + 1))


def recommender() -> Recommender:
    return Recommender.of([book(1), book(2)], log_of())


def waiting(ledger: Ledger) -> int:
    return len(ledger._groups)


def test_what_waits_meanwhile_is_stored_in_one_transaction():
    store = SlowStore()
    ledger = Ledger(store, recommender())
    with ThreadPoolExecutor(9) as callers:
        first = callers.submit(ledger.record, [read("first")])
        wait_until(lambda: ledger._turns.taken and not waiting(ledger))
        others = [callers.submit(ledger.record, [read(f"{n}-a"), read(f"{n}-b")]) for n in range(8)]
        wait_until(lambda: waiting(ledger) == 8)
        store.go.set()
        assert first.result(20) == [True]
        assert [each.result(20) for each in others] == [[True, True]] * 8
    assert [len(group) for group in store.groups] == [1, 16]


def test_one_bad_batch_fails_alone():
    store = SlowStore()
    ledger = Ledger(store, recommender())
    store.refused = {"bad"}
    with ThreadPoolExecutor(4) as callers:
        first = callers.submit(ledger.record, [read("first")])
        wait_until(lambda: ledger._turns.taken and not waiting(ledger))
        good = callers.submit(ledger.record, [read("good")])
        bad = callers.submit(ledger.record, [read("bad")])
        wait_until(lambda: waiting(ledger) == 2)
        store.go.set()
        assert (first.result(20), good.result(20)) == ([True], [True])
        with pytest.raises(ValueError, match="refused"):
            bad.result(20)


def test_too_many_waiting_are_refused_at_once():
    store = SlowStore()
    ledger = Ledger(store, recommender())
    with ThreadPoolExecutor(8) as callers:
        calls = [callers.submit(ledger.record, [read(f"{n}-{i}") for i in range(10_000)]) for n in range(5)]
        wait_until(lambda: waiting(ledger) == 4)
        with pytest.raises(Unavailable, match="too many changes"):
            ledger.record([read("late")])
        store.go.set()
        assert [sum(each.result(20)) for each in calls] == [10_000] * 5


def test_who_waits_too_long_is_refused_and_nothing_of_it_is_stored(monkeypatch):
    monkeypatch.setattr("service.groups._LONGEST_WAIT_SECONDS", 0.2)
    store = SlowStore()
    ledger = Ledger(store, recommender())
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(ledger.record, [read("first")])
        wait_until(lambda: ledger._turns.taken and not waiting(ledger))
        with pytest.raises(Unavailable, match="too many changes"):
            ledger.record([read("late")])
        store.go.set()
        assert first.result(20) == [True]
    assert ledger.record([read("after")]) == [True]
    assert store.groups == [["first"], ["after"]]


def test_turns_are_had_in_the_order_in_which_they_were_asked_for():
    turns, had = Turns(), []

    def take(number: int) -> None:
        with turns.turn():
            had.append(number)

    with ThreadPoolExecutor(5) as callers, turns.turn():
        for number in range(5):
            callers.submit(take, number)
            wait_until(lambda number=number: len(turns._waiting) == number + 1)
    assert had == [0, 1, 2, 3, 4]


def test_own_rows_are_told_once():
    store = SlowStore()
    store.go.set()
    ledger = Ledger(store, recommender())
    ledger.record([read("a"), read("b")])
    assert ledger.take_own(np.array([1, 2, 3])).tolist() == [True, True, False]
    assert ledger.take_own(np.array([1, 2, 3])).tolist() == [False, False, False]


def test_while_the_database_is_away_callers_are_told_at_once():
    ledger = Ledger(SlowStore(), recommender())
    ledger.database_is(away=True)
    for write in (
        lambda: ledger.record([read("a")]),
        lambda: ledger.forget_reader(1),
        lambda: ledger.upsert_books([book(3)]),
        lambda: ledger.delete_books([1]),
    ):
        with pytest.raises(Unavailable):
            write()


def test_concurrent_callers_with_the_same_ids_store_each_once(tmp_path):
    url = f"sqlite:///{tmp_path}/shop.db"
    migrate(url)
    with Database.open(url) as database, ThreadPoolExecutor(8) as callers:
        ledger = Ledger(database, recommender())
        batches = [[read(f"{lot}-{n}") for n in range(50)] for lot in range(20)]
        new = list(callers.map(ledger.record, batches * 3))
        assert sum(map(sum, new)) == database.counts().interactions == 1000
