"""Requests that break a rule of their fields: each is named with its value, and nothing else is told."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as catalogue
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.world import refused

LARGEST = 2**63 - 1
LARGEST_PAGE = 2**31 - 1
UNKNOWN_BOOK = 10**12
IS_NO_ID = f"is not between 1 and {LARGEST}"
IS_NO_CATEGORY = "is not a category of the catalogue"


def recommend(**fields):
    return "recommendations", "Recommend", pb.RecommendRequest(**fields)


def similar(**fields):
    return "recommendations", "SimilarBooks", pb.SimilarBooksRequest(**({"book_id": 1} | fields))


def popular(**fields):
    return "recommendations", "PopularBooks", pb.PopularBooksRequest(**fields)


def forget(**fields):
    return "recommendations", "ForgetReader", pb.ForgetReaderRequest(**fields)


def get_book(**fields):
    return "catalogue", "GetBook", catalogue.GetBookRequest(**fields)


def list_books(**fields):
    return "catalogue", "ListBooks", catalogue.ListBooksRequest(**fields)


@pytest.mark.parametrize(
    ("request_", "violations"),
    [
        (recommend(page_size=-1), {"page_size": "-1 is not between 0 and 100"}),
        (recommend(page_size=101), {"page_size": "101 is not between 0 and 100"}),
        (recommend(page_size=LARGEST_PAGE), {"page_size": f"{LARGEST_PAGE} is not between 0 and 100"}),
        (similar(page_size=-1), {"page_size": "-1 is not between 0 and 100"}),
        (similar(page_size=LARGEST_PAGE), {"page_size": f"{LARGEST_PAGE} is not between 0 and 100"}),
        (popular(page_size=-1), {"page_size": "-1 is not between 0 and 100"}),
        (popular(page_size=101), {"page_size": "101 is not between 0 and 100"}),
        (list_books(page_size=-1), {"page_size": "-1 is not between 0 and 1000"}),
        (list_books(page_size=1001), {"page_size": "1001 is not between 0 and 1000"}),
        (recommend(reader_id=-1), {"reader_id": f"-1 {IS_NO_ID}"}),
        (recommend(reader_id=-(2**63)), {"reader_id": f"{-(2**63)} {IS_NO_ID}"}),
        (forget(), {"reader_id": f"0 {IS_NO_ID}"}),
        (forget(reader_id=-7), {"reader_id": f"-7 {IS_NO_ID}"}),
        (similar(book_id=0), {"book_id": f"0 {IS_NO_ID}"}),
        (get_book(), {"book_id": f"0 {IS_NO_ID}"}),
        (get_book(book_id=-(2**63)), {"book_id": f"{-(2**63)} {IS_NO_ID}"}),
        (recommend(categories=["cookery"]), {"categories": f'"cookery" {IS_NO_CATEGORY}'}),
        (recommend(categories=["mystery", ""]), {"categories": f'"" {IS_NO_CATEGORY}'}),
        (recommend(categories=["Mystery"]), {"categories": f'"Mystery" {IS_NO_CATEGORY}'}),
        (recommend(categories=["a\x1b[31m\nb"]), {"categories": f'"a?[31m?b" {IS_NO_CATEGORY}'}),
        (recommend(categories=["x" * 100_000]), {"categories": f'"{"x" * 57}..." {IS_NO_CATEGORY}'}),
        (recommend(categories=["mystery"] * 21), {"categories": "21 entries are not between 0 and 20"}),
        (similar(categories=["cookery"]), {"categories": f'"cookery" {IS_NO_CATEGORY}'}),
        (popular(category="cookery"), {"category": f'"cookery" {IS_NO_CATEGORY}'}),
        (list_books(category="cookery"), {"category": f'"cookery" {IS_NO_CATEGORY}'}),
        (
            recommend(reader_id=1, recent_book_ids=[1, 2]),
            {"recent_book_ids": "2 entries and a reader_id exclude each other"},
        ),
        (recommend(recent_book_ids=[1] * 101), {"recent_book_ids": "101 entries are not between 0 and 100"}),
        (
            recommend(recent_book_ids=[1, UNKNOWN_BOOK, -3]),
            {
                "recent_book_ids[1]": f"{UNKNOWN_BOOK} is not in the catalogue",
                "recent_book_ids[2]": "-3 is not in the catalogue",
            },
        ),
        (
            recommend(exclude_book_ids=range(1001)),
            {"exclude_book_ids": "1001 entries are not between 0 and 1000"},
        ),
        (recommend(max_per_author=-1), {"max_per_author": "-1 is not between 0 and 100"}),
        (recommend(max_per_author=101), {"max_per_author": "101 is not between 0 and 100"}),
        (recommend(diversity=1.5), {"diversity": "1.5 is not between 0 and 1"}),
        (recommend(diversity=-0.1), {"diversity": "-0.1 is not between 0 and 1"}),
        (recommend(diversity=float("nan")), {"diversity": "nan is not between 0 and 1"}),
        (
            recommend(languages=["en", "", "english!", "x" * 36]),
            {
                "languages[1]": '"" is not a BCP 47 tag such as "en" or "pt-BR"',
                "languages[2]": '"english!" is not a BCP 47 tag such as "en" or "pt-BR"',
                "languages[3]": f'"{"x" * 36}" is not a BCP 47 tag such as "en" or "pt-BR"',
            },
        ),
        (recommend(languages=["en"] * 21), {"languages": "21 entries are not between 0 and 20"}),
        (
            recommend(categories=["mystery", "cookery"], every_category=True),
            {"categories": f'"cookery" {IS_NO_CATEGORY}'},
        ),
        (popular(trending=True), {"trending": "True needs a window"}),
        (
            popular(trending=True, window=Duration(seconds=86_400), half_life=Duration(seconds=7200)),
            {"half_life": '"7200s" and trending exclude each other'},
        ),
        (
            popular(half_life=Duration(seconds=60)),
            {"half_life": '"60s" is not between 1 hour and 3650 days'},
        ),
        (
            popular(half_life=Duration(seconds=7200, nanos=-1)),
            {"half_life.nanos": "-1 is not between 0 and 999999999"},
        ),
        (
            recommend(reader_id=-1, page_size=-1, categories=["x"] * 21),
            {
                "reader_id": f"-1 {IS_NO_ID}",
                "page_size": "-1 is not between 0 and 100",
                "categories": "21 entries are not between 0 and 20",
            },
        ),
    ],
)
def test_field_value_and_rule_are_named(service, request_, violations):
    stub, method, message = request_
    refusal = refused(getattr(getattr(service.client, stub), method), message)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "INVALID_INPUT"
    assert refusal.violations == violations
    assert all(f"{field}: {rule}" in refusal.message for field, rule in violations.items())
    assert "\x1b" not in refusal.message


def test_page_size_of_zero_means_ten(service):
    assert len(service.client.recommendations.Recommend(pb.RecommendRequest(page_size=0)).books) == 10
    assert len(service.client.recommendations.PopularBooks(pb.PopularBooksRequest()).books) == 10
    assert len(service.client.recommendations.SimilarBooks(pb.SimilarBooksRequest(book_id=1)).books) == 10


@pytest.mark.parametrize("recent_count", [100, 10_000])
def test_as_many_mistakes_as_a_request_can_hold_are_told_in_four_kilobytes(service, recent_count):
    message = pb.RecommendRequest(recent_book_ids=[UNKNOWN_BOOK] * recent_count, reader_id=-1)
    refusal = refused(service.client.recommendations.Recommend, message)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.violations[""].startswith("… and ")
    assert len(refusal.message) < 1024


@pytest.mark.parametrize("kind", [pb.RecommendRequest, pb.GetModelRequest])
def test_fields_of_a_newer_contract_are_passed_over(service, kind):
    path = "/onlinebooks.recommendations.v1.RecommendationService/"
    path += "Recommend" if kind is pb.RecommendRequest else "GetModel"
    from_the_future = b"\xfa\x3f\x03new" + kind().SerializeToString()  # field 1023, a text
    assert service.client.send(path, from_the_future)
