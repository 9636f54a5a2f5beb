"""What one replica stores is known to the others within moments, each thing once."""

import statistics
import time

import pytest
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as catalogue_pb
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.book_pb2 import Book

from tests.world import RunningApp, wait_until

# The longest that the contract allows.
LAG_SECONDS = 2.0
NEW_READER = 900_001


def strategy_of(replica: RunningApp, reader_id: int) -> int:
    return replica.client.recommendations.Recommend(pb.RecommendRequest(reader_id=reader_id)).strategy


def record(
    replica: RunningApp, name: str, book_id: int, reader_id: int = NEW_READER, **fields: object
) -> None:
    interaction = pb.Interaction(
        interaction_id=name,
        reader_id=reader_id,
        book_id=book_id,
        type=fields.pop("type", pb.INTERACTION_TYPE_READ),
        **fields,
    )
    answer = replica.client.recommendations.RecordInteractions(
        pb.RecordInteractionsRequest(interactions=[interaction])
    )
    assert answer.recorded_count == 1


def count_of(replica: RunningApp, book_id: int) -> float:
    """Return how often a book was taken up, as this replica counts."""
    counts = {
        each.book_id: each.score
        for each in replica.client.recommendations.PopularBooks(pb.PopularBooksRequest(page_size=100)).books
    }
    return counts[book_id]


def test_three_replicas_know_of_a_new_reader_within_two_seconds(replicas):
    three = replicas(3)
    lags = []
    for number in range(5):
        writer, *others = three[number % 3 :] + three[: number % 3]
        reader_id = NEW_READER + number
        record(writer, f"lag-{number}", 1, reader_id)
        stored = time.monotonic()
        assert strategy_of(writer, reader_id) == pb.STRATEGY_PERSONAL
        for other in others:
            wait_until(
                lambda other=other, reader_id=reader_id: strategy_of(other, reader_id) == pb.STRATEGY_PERSONAL
            )
        lags.append(time.monotonic() - stored)
    # In the middle: others may be at work on this machine.
    assert statistics.median(lags) < LAG_SECONDS, lags


def test_each_interaction_counts_once_on_every_replica(replicas):
    three = replicas(3)
    (favourite,) = three[0].client.recommendations.PopularBooks(pb.PopularBooksRequest(page_size=1)).books
    before = favourite.score
    for number in range(9):
        record(three[number % 3], f"once-{number}", favourite.book_id, NEW_READER + number)
    for replica in three:
        wait_until(lambda replica=replica: count_of(replica, favourite.book_id) >= before + 9)
    # A look later, in which everything would be learned once more.
    record(three[0], "once-more", favourite.book_id, NEW_READER + 10)
    for replica in three:
        wait_until(lambda replica=replica: count_of(replica, favourite.book_id) >= before + 10)
        assert count_of(replica, favourite.book_id) == before + 10


def test_undoing_on_another_replica(replicas):
    one, other = replicas(2)
    record(one, "taken-up", 1)
    wait_until(lambda: strategy_of(other, NEW_READER) == pb.STRATEGY_PERSONAL)
    record(other, "taken-back", 1, type=pb.INTERACTION_TYPE_REMOVE)
    assert strategy_of(other, NEW_READER) == pb.STRATEGY_POPULAR
    wait_until(lambda: strategy_of(one, NEW_READER) == pb.STRATEGY_POPULAR)


def test_a_reader_forgotten_on_one_replica_is_forgotten_on_all(replicas):
    three = replicas(3)
    record(three[0], "to-be-forgotten", 1)
    for replica in three:
        wait_until(lambda replica=replica: strategy_of(replica, NEW_READER) == pb.STRATEGY_PERSONAL)
    forgotten = three[1].client.recommendations.ForgetReader(pb.ForgetReaderRequest(reader_id=NEW_READER))
    assert forgotten.deleted_interaction_count == 1
    for replica in three:
        wait_until(lambda replica=replica: strategy_of(replica, NEW_READER) == pb.STRATEGY_POPULAR)
    record(three[2], "back-again", 2)
    for replica in three:
        wait_until(lambda replica=replica: strategy_of(replica, NEW_READER) == pb.STRATEGY_PERSONAL)


def test_books_come_change_and_go_on_all_replicas(replicas):
    one, other = replicas(2)
    book = Book(id=5_000_001, title="A New One", categories=["ghost-stories"])
    one.client.catalogue.UpsertBooks(catalogue_pb.UpsertBooksRequest(books=[book]))
    found = catalogue_pb.GetBookRequest(book_id=book.id)

    def title() -> str:
        try:
            return other.client.catalogue.GetBook(found).book.title
        except Exception as error:  # noqa: BLE001 - NOT_FOUND until it has come
            return error.code().name

    wait_until(lambda: title() == "A New One")
    record(other, "of-a-new-book", book.id)
    book.title = "Renamed"
    one.client.catalogue.UpsertBooks(catalogue_pb.UpsertBooksRequest(books=[book]))
    wait_until(lambda: title() == "Renamed")
    other.client.catalogue.DeleteBooks(catalogue_pb.DeleteBooksRequest(book_ids=[book.id]))
    assert title() == "NOT_FOUND"
    with pytest.raises(Exception, match="does not exist"):
        wait_until(lambda: not one.client.catalogue.GetBook(found))


def test_a_replica_that_starts_later_knows_what_happened_before_and_after_its_mirror(
    replicas, shop, tmp_path
):
    (one,) = replicas(1)
    record(one, "before", 1)
    (late,) = replicas(1)  # takes the mirror that the first one wrote
    assert strategy_of(late, NEW_READER) == pb.STRATEGY_PERSONAL
    record(one, "after", 1, NEW_READER + 1)
    wait_until(lambda: strategy_of(late, NEW_READER + 1) == pb.STRATEGY_PERSONAL)
    one.client.recommendations.ForgetReader(pb.ForgetReaderRequest(reader_id=NEW_READER))
    (masked,) = replicas(1)
    assert strategy_of(masked, NEW_READER) == pb.STRATEGY_POPULAR
