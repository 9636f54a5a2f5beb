"""The machine's clock is set back by an hour under a running service."""

from collections.abc import Callable

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.wire.batches import NEWCOMER, a_batch, an_interaction
from tests.wire.test_exposures import stored
from tests.world import RunningApp, wait_until

HOUR = 3600 * 1_000_000


@pytest.fixture
def now() -> list[int]:
    return [1_800_000_000_000_000]


@pytest.fixture
def set_back(now) -> Callable[[], None]:
    def by_an_hour() -> None:
        now[0] -= HOUR

    return by_an_hour


@pytest.fixture
def service(start, now) -> RunningApp:
    return start(now=lambda: now[0], exposure_ratio=1, exposure_days=1)


@pytest.fixture
def stub(service):
    return service.client.recommendations


def strategy(stub) -> int:
    return stub.Recommend(pb.RecommendRequest(reader_id=NEWCOMER)).strategy


def test_an_undo_still_comes_after_what_it_undoes(stub, set_back):
    stub.RecordInteractions(a_batch(an_interaction("taken-up")))
    assert strategy(stub) == pb.STRATEGY_PERSONAL
    set_back()
    stub.RecordInteractions(a_batch(an_interaction("undone", type=pb.INTERACTION_TYPE_REMOVE)))
    assert strategy(stub) == pb.STRATEGY_POPULAR
    stub.RecordInteractions(a_batch(an_interaction("taken-up-again")))
    assert strategy(stub) == pb.STRATEGY_PERSONAL


def test_a_caller_whose_clock_is_right_is_not_refused(stub, now, set_back):
    late, early = Timestamp(), Timestamp()
    late.FromMicroseconds(now[0])
    early.FromMicroseconds(now[0] - HOUR)
    stub.Recommend(pb.RecommendRequest(reader_id=1))  # the time is asked for
    set_back()
    answer = stub.RecordInteractions(
        a_batch(an_interaction("late", occurred_at=late), an_interaction("early", occurred_at=early))
    )
    assert answer.recorded_count == 2


def test_what_was_sent_before_and_is_sent_again_is_stored_once(stub, set_back):
    assert stub.RecordInteractions(a_batch(an_interaction("once"))).recorded_count == 1
    set_back()
    assert stub.RecordInteractions(a_batch(an_interaction("once"))).duplicate_count == 1


def test_page_tokens_go_on_working(stub, set_back):
    query = {"reader_id": 7, "page_size": 5}
    first = stub.Recommend(pb.RecommendRequest(**query))
    set_back()
    second = stub.Recommend(pb.RecommendRequest(**query, page_token=first.next_page_token))
    assert not {each.book_id for each in first.books} & {each.book_id for each in second.books}
    assert stub.Recommend(pb.RecommendRequest(**query, page_token=second.next_page_token)).books


def test_what_was_shown_before_and_after_is_kept(service, stub, set_back):
    names = [stub.Recommend(pb.RecommendRequest(reader_id=7)).recommendation_id]
    set_back()
    names.append(stub.Recommend(pb.RecommendRequest(reader_id=7)).recommendation_id)
    wait_until(lambda: len(stored(service)) == 2)
    assert {name for (name,) in stored(service)} == set(names)


def test_popular_books_of_the_last_hour_are_told(stub, set_back):
    stub.RecordInteractions(a_batch(an_interaction("just-now", book_id=3)))
    set_back()
    request = pb.PopularBooksRequest(page_size=1)
    request.window.FromSeconds(3600)
    assert [each.book_id for each in stub.PopularBooks(request).books] == [3]
