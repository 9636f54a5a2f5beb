"""Batches of interactions of which one thing is wrong: all of it is refused, and nothing is stored."""

import time

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.wire.batches import a_batch, an_interaction, reads
from tests.world import Refused, refused

LARGEST = 2**63 - 1
IS_NO_RATING = "is not between 1 and 5 in steps of a half"
IS_NO_IDENTIFIER = "is not 1 to 64 printable ASCII characters without spaces"


@pytest.fixture
def refuse(service):
    """Send a batch that must be refused, and see that nothing of it was stored."""

    def send(batch: pb.RecordInteractionsRequest) -> Refused:
        before = service.shop.counts()
        refusal = refused(service.client.recommendations.RecordInteractions, batch)
        assert service.shop.counts() == before
        assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refusal.reason == "INVALID_INPUT"
        return refusal

    return send


@pytest.mark.parametrize(
    ("fields", "field", "description"),
    [
        ({"interaction_id": ""}, "interaction_id", f'"" {IS_NO_IDENTIFIER}'),
        ({"interaction_id": "a b"}, "interaction_id", f'"a b" {IS_NO_IDENTIFIER}'),
        ({"interaction_id": "ä\n"}, "interaction_id", f'"ä?" {IS_NO_IDENTIFIER}'),
        ({"interaction_id": "x" * 65}, "interaction_id", f'"{"x" * 57}..." is longer than 64 characters'),
        ({"reader_id": 0}, "reader_id", f"0 is not between 1 and {LARGEST}"),
        ({"reader_id": -(2**63)}, "reader_id", f"{-(2**63)} is not between 1 and {LARGEST}"),
        ({"book_id": 0}, "book_id", f"0 is not between 1 and {LARGEST}"),
        ({"book_id": LARGEST}, "book_id", f"{LARGEST} is not in the catalogue"),
        (
            {"type": 0},
            "type",
            "0 is not one of VIEW, WISHLIST, PURCHASE, READ, RATING, REMOVE, NOT_INTERESTED",
        ),
        (
            {"type": 8},
            "type",
            "8 is not one of VIEW, WISHLIST, PURCHASE, READ, RATING, REMOVE, NOT_INTERESTED",
        ),
        (
            {"type": -1},
            "type",
            "-1 is not one of VIEW, WISHLIST, PURCHASE, READ, RATING, REMOVE, NOT_INTERESTED",
        ),
        ({"type": 5, "rating": 0}, "rating", f"0.0 {IS_NO_RATING}"),
        ({"type": 5, "rating": 0.5}, "rating", f"0.5 {IS_NO_RATING}"),
        ({"type": 5, "rating": 5.5}, "rating", f"5.5 {IS_NO_RATING}"),
        ({"type": 5, "rating": 4.25}, "rating", f"4.25 {IS_NO_RATING}"),
        ({"type": 5, "rating": -1e308}, "rating", f"-1e+308 {IS_NO_RATING}"),
        ({"type": 5, "rating": float("nan")}, "rating", f"nan {IS_NO_RATING}"),
        ({"type": 5, "rating": float("inf")}, "rating", f"inf {IS_NO_RATING}"),
        ({"type": 5}, "rating", "is missing; a RATING needs one"),
        ({"type": 4, "rating": 3}, "rating", "3.0 goes with RATING alone, not with READ"),
        ({"type": 6, "rating": 3}, "rating", "3.0 goes with RATING alone, not with REMOVE"),
        ({"type": 7, "rating": 1}, "rating", "1.0 goes with RATING alone, not with NOT_INTERESTED"),
        ({"recommendation_id": "\t"}, "recommendation_id", f'"?" {IS_NO_IDENTIFIER}'),
        (
            {"recommendation_id": "r" * 65},
            "recommendation_id",
            f'"{"r" * 57}..." is longer than 64 characters',
        ),
        (
            {"occurred_at": Timestamp(seconds=-1, nanos=999_999_000)},
            "occurred_at",
            "-1 is before 1970",
        ),
        (
            {"occurred_at": Timestamp(seconds=-(2**63))},
            "occurred_at",
            f"{-(2**63) * 10**6} is before 1970",
        ),
        (
            {"occurred_at": Timestamp(seconds=2**63 - 1)},
            "occurred_at",
            f"{LARGEST * 10**6} is more than 5 minutes in the future",
        ),
        (
            {"occurred_at": Timestamp(seconds=10, nanos=-1)},
            "occurred_at",
            "-1 nanos are not between 0 and 999999999",
        ),
        (
            {"occurred_at": Timestamp(seconds=10, nanos=10**9)},
            "occurred_at",
            "1000000000 nanos are not between 0 and 999999999",
        ),
    ],
)
def test_interaction_that_breaks_a_rule_is_named(refuse, fields, field, description):
    wrong = an_interaction(**fields)
    refusal = refuse(a_batch(an_interaction("good-1"), wrong, an_interaction("good-2")))
    assert refusal.violations == {f"interactions[1].{field}": description}
    assert f"interactions[1].{field}: {description}" in refusal.message


def test_interaction_of_tomorrow_is_refused(refuse):
    tomorrow = Timestamp(seconds=int(time.time()) + 86_400)
    refusal = refuse(a_batch(an_interaction(occurred_at=tomorrow)))
    assert refusal.violations["interactions[0].occurred_at"].endswith("more than 5 minutes in the future")


@pytest.mark.parametrize("count", [0, 10_001])
def test_batch_that_is_empty_or_too_long_is_refused(refuse, count):
    refusal = refuse(reads(count))
    assert refusal.violations == {"interactions": f"{count} entries are not between 1 and 10000"}


def test_id_with_two_contents_in_one_batch_is_refused(refuse):
    refusal = refuse(a_batch(an_interaction("a"), an_interaction("b"), an_interaction("a", book_id=2)))
    assert refusal.violations == {
        "interactions[2].interaction_id": '"a" stands in interactions[0] with other content'
    }


def test_ten_thousand_mistakes_are_told_in_four_kilobytes(refuse):
    batch = a_batch(*(an_interaction(f"i{n}", reader_id=-n, book_id=-n, type=9) for n in range(10_000)))
    refusal = refuse(batch)
    assert "interactions[0].reader_id" in refusal.violations
    assert refusal.violations[""].startswith("… and ")


def test_last_of_ten_thousand_is_checked_too(refuse):
    batch = reads(10_000)
    batch.interactions[-1].book_id = LARGEST
    assert list(refuse(batch).violations) == ["interactions[9999].book_id"]
