"""What RecordInteractions and ForgetReader do, and that answers know of it at once."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.storage import Database
from tests.wire.batches import NEWCOMER, a_batch, an_interaction, reads


@pytest.fixture
def service(start):
    return start()


@pytest.fixture
def stub(service):
    return service.client.recommendations


def recommended(stub, **fields) -> pb.RecommendResponse:
    return stub.Recommend(pb.RecommendRequest(reader_id=NEWCOMER, page_size=100, **fields))


def offered(stub, **fields) -> set[int]:
    """Page through everything that is left to recommend."""
    found, token = set(), None
    while token != "":
        page = recommended(stub, page_token=token, **fields)
        found |= {book.book_id for book in page.books}
        token = page.next_page_token
    return found


def test_the_very_next_answer_knows_what_was_recorded(stub):
    before = recommended(stub)
    assert before.strategy == pb.STRATEGY_POPULAR
    book_id = before.books[0].book_id
    answer = stub.RecordInteractions(a_batch(an_interaction(book_id=book_id)))
    assert (answer.recorded_count, answer.duplicate_count) == (1, 0)
    after = recommended(stub)
    assert after.strategy == pb.STRATEGY_PERSONAL
    assert after.books[0].reason.because_book_id == book_id
    assert book_id not in [book.book_id for book in after.books]


@pytest.mark.parametrize(
    ("kind", "rating", "hides"),
    [
        (pb.INTERACTION_TYPE_VIEW, None, False),
        (pb.INTERACTION_TYPE_WISHLIST, None, False),
        (pb.INTERACTION_TYPE_PURCHASE, None, True),
        (pb.INTERACTION_TYPE_READ, None, True),
        (pb.INTERACTION_TYPE_RATING, 4.5, True),
        (pb.INTERACTION_TYPE_RATING, 1.0, True),
        (pb.INTERACTION_TYPE_REMOVE, None, False),
        (pb.INTERACTION_TYPE_NOT_INTERESTED, None, True),
    ],
)
def test_each_type_is_stored_and_hides_the_book_or_does_not(stub, service, kind, rating, hides):
    book_id = recommended(stub).books[0].book_id
    stored = service.shop.counts()[1]
    stub.RecordInteractions(a_batch(an_interaction(book_id=book_id, type=kind, rating=rating)))
    assert service.shop.counts()[1] == stored + 1
    assert (book_id not in offered(stub)) == hides


def test_batch_that_is_sent_again_changes_nothing(stub, service):
    batch = reads(100)
    stored = service.shop.counts()[1]
    first, second = stub.RecordInteractions(batch), stub.RecordInteractions(batch)
    assert (first.recorded_count, first.duplicate_count) == (100, 0)
    assert (second.recorded_count, second.duplicate_count) == (0, 100)
    assert service.shop.counts()[1] == stored + 100


def test_batch_that_is_sent_again_a_month_later_changes_nothing(start):
    now = [1_800_000_000_000_000]
    stub = start(now=lambda: now[0]).client.recommendations
    stub.RecordInteractions(reads(10))
    now[0] += 30 * 86_400 * 1_000_000
    assert stub.RecordInteractions(reads(10)).duplicate_count == 10


def test_what_was_taken_back_has_no_effect_on_the_next_answer(stub):
    before = recommended(stub)
    stub.RecordInteractions(a_batch(an_interaction("done", book_id=1, type=pb.INTERACTION_TYPE_PURCHASE)))
    assert recommended(stub).strategy == pb.STRATEGY_PERSONAL
    stub.RecordInteractions(a_batch(an_interaction("undone", book_id=1, type=pb.INTERACTION_TYPE_REMOVE)))
    after = recommended(stub)
    assert (after.strategy, after.books) == (before.strategy, before.books)


def test_what_arrives_late_counts_by_its_time(stub):
    bought, returned = Timestamp(seconds=1_700_000_000), Timestamp(seconds=1_700_000_001)
    undo = an_interaction("a", book_id=1, type=pb.INTERACTION_TYPE_REMOVE, occurred_at=returned)
    late = an_interaction("b", book_id=1, type=pb.INTERACTION_TYPE_PURCHASE, occurred_at=bought)
    stub.RecordInteractions(a_batch(undo))
    stub.RecordInteractions(a_batch(late))
    assert recommended(stub).strategy == pb.STRATEGY_POPULAR


def test_a_book_that_is_not_wanted_stays_away_from_those_to_read_again(stub):
    kinds = {1: pb.INTERACTION_TYPE_READ, 2: pb.INTERACTION_TYPE_READ, 3: pb.INTERACTION_TYPE_NOT_INTERESTED}
    stub.RecordInteractions(
        a_batch(*(an_interaction(f"{number}", book_id=number, type=kind) for number, kind in kinds.items()))
    )
    found = offered(stub, include_read=True)
    assert {1, 2} <= found
    assert 3 not in found


def test_same_interaction_twice_in_a_batch_is_stored_once(stub, service):
    stored = service.shop.counts()[1]
    answer = stub.RecordInteractions(a_batch(an_interaction("a"), an_interaction("b"), an_interaction("a")))
    assert (answer.recorded_count, answer.duplicate_count) == (2, 1)
    assert service.shop.counts()[1] == stored + 2


def test_id_that_was_stored_with_other_content_is_a_duplicate_and_changes_nothing(stub):
    stub.RecordInteractions(a_batch(an_interaction("taken", book_id=1)))
    answer = stub.RecordInteractions(a_batch(an_interaction("taken", book_id=2)))
    assert (answer.recorded_count, answer.duplicate_count) == (0, 1)
    assert {book.reason.because_book_id for book in recommended(stub).books} <= {0, 1}


def test_ten_thousand_interactions_are_a_batch(stub, service):
    stored = service.shop.counts()[1]
    assert stub.RecordInteractions(reads(10_000)).recorded_count == 10_000
    assert service.shop.counts()[1] == stored + 10_000


@pytest.mark.parametrize(
    "fields",
    [
        {"reader_id": 2**63 - 1},
        {"type": pb.INTERACTION_TYPE_RATING, "rating": 1.0},
        {"type": pb.INTERACTION_TYPE_RATING, "rating": 5.0},
        {"occurred_at": Timestamp()},
        {"recommendation_id": "~" * 64},
        {"interaction_id": "!" * 64},
    ],
)
def test_values_at_their_bounds_are_stored(stub, fields):
    interaction = an_interaction()
    interaction.MergeFrom(pb.Interaction(**fields))
    assert stub.RecordInteractions(a_batch(interaction)).recorded_count == 1


def test_clock_that_is_five_minutes_ahead_is_believed(start):
    now = 1_800_000_000_000_000
    stub = start(now=lambda: now).client.recommendations
    ahead = Timestamp()
    ahead.FromMicroseconds(now + 300_000_000)
    assert stub.RecordInteractions(a_batch(an_interaction(occurred_at=ahead))).recorded_count == 1


def test_interaction_without_a_time_happens_now_and_an_empty_time_is_1970(start):
    now = 1_800_000_000_000_000
    service = start(now=lambda: now)
    batch = a_batch(an_interaction("now"), an_interaction("then", occurred_at=Timestamp()))
    service.client.recommendations.RecordInteractions(batch)
    with Database.open(service.shop.url) as database:
        assert database.interactions().occurred_at[-2:].tolist() == [now, 0]


def test_what_was_acknowledged_is_there_after_a_restart(start, shop):
    with_one = start(shop)
    with_one.client.recommendations.RecordInteractions(a_batch(an_interaction()))
    again = start(shop)  # beside the first, as after a crash: nothing was closed
    assert recommended(again.client.recommendations).strategy == pb.STRATEGY_PERSONAL


def test_forgotten_reader_is_unknown_at_once_and_after_a_restart(start, shop):
    service = start(shop)
    stub = service.client.recommendations
    stub.RecordInteractions(a_batch(an_interaction("a"), an_interaction("b", book_id=2)))
    assert stub.ForgetReader(pb.ForgetReaderRequest(reader_id=NEWCOMER)).deleted_interaction_count == 2
    assert recommended(stub).strategy == pb.STRATEGY_POPULAR
    assert stub.ForgetReader(pb.ForgetReaderRequest(reader_id=NEWCOMER)).deleted_interaction_count == 0
    assert recommended(start(shop).client.recommendations).strategy == pb.STRATEGY_POPULAR
