"""Page tokens that were not issued, or not for this."""

import base64

import grpc
import pytest
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as catalogue
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.training import TrainingSettings
from tests.world import refused, wait_until

QUERY = {"reader_id": 7, "categories": ["mystery"], "page_size": 5}
NOT_OURS = {"page_token": "is not a token that this service issued"}
NOT_FOR_THIS = {"page_token": "was issued for a request with other fields"}


@pytest.fixture
def stub(service):
    return service.client.recommendations


@pytest.fixture
def token(stub) -> str:
    return stub.Recommend(pb.RecommendRequest(**QUERY)).next_page_token


def refusal_of_token(stub, token: str, **changed):
    refusal = refused(stub.Recommend, pb.RecommendRequest(**(QUERY | changed), page_token=token))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    return refusal.violations


@pytest.mark.parametrize(
    "forged",
    ["forged", "=", "A" * 56, "ä", "🂡", "\x00", "-" * 100_000, "AAAA====AAAA", " "],
)
def test_forged_token_is_refused(stub, service, forged):
    assert refusal_of_token(stub, forged) == NOT_OURS
    refusal = refused(service.client.catalogue.ListBooks, catalogue.ListBooksRequest(page_token=forged))
    assert (refusal.code, refusal.violations) == (grpc.StatusCode.INVALID_ARGUMENT, NOT_OURS)


def test_no_bit_of_a_token_can_be_changed(stub, token):
    genuine = base64.urlsafe_b64decode(token)
    for place in range(len(genuine)):
        changed = bytearray(genuine)
        changed[place] ^= 1
        assert refusal_of_token(stub, base64.urlsafe_b64encode(changed).decode()) == NOT_OURS


def test_part_of_a_token_and_more_than_a_token_are_refused(stub, token):
    genuine = base64.urlsafe_b64decode(token)
    for forged in (genuine[:-1], genuine[:24], genuine[1:], genuine + b"\x00", genuine * 2):
        assert refusal_of_token(stub, base64.urlsafe_b64encode(forged).decode()) == NOT_OURS


@pytest.mark.parametrize(
    "changed",
    [
        {"reader_id": 8},
        {"categories": ["ghost-stories"]},
        {"categories": []},
        {"exclude_book_ids": [1]},
        {"include_read": True},
    ],
)
def test_token_of_another_query_is_refused(stub, token, changed):
    assert refusal_of_token(stub, token, **changed) == NOT_FOR_THIS


def test_token_of_another_method_is_refused(service, token):
    list_books = service.client.catalogue.ListBooks
    refusal = refused(list_books, catalogue.ListBooksRequest(page_token=token))
    assert refusal.violations == NOT_FOR_THIS
    own = list_books(catalogue.ListBooksRequest(category="mystery", page_size=5)).next_page_token
    refusal = refused(list_books, catalogue.ListBooksRequest(category="ghost-stories", page_token=own))
    assert refusal.violations == NOT_FOR_THIS


def test_page_size_may_change_from_page_to_page(stub, token):
    page = stub.Recommend(pb.RecommendRequest(**(QUERY | {"page_size": 9}), page_token=token))
    whole = stub.Recommend(pb.RecommendRequest(**(QUERY | {"page_size": 14})))
    assert list(page.books) == list(whole.books[5:])


def test_token_of_another_process_needs_the_same_key(start, shop, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    one, replica, stranger = (
        start(shop, page_token_key_file=key),
        start(shop, page_token_key_file=key),
        start(shop),
    )
    first = one.client.recommendations.Recommend(pb.RecommendRequest(**QUERY))
    following = pb.RecommendRequest(**QUERY, page_token=first.next_page_token)
    assert replica.client.recommendations.Recommend(following).books
    assert refused(stranger.client.recommendations.Recommend, following).violations == NOT_OURS


def test_token_from_before_a_change_of_model_asks_for_the_first_page_again(start, shop):
    service = start(shop, model_check_seconds=0.1)
    stub = service.client.recommendations
    token = stub.Recommend(pb.RecommendRequest(**QUERY)).next_page_token
    trained = shop.train(TrainingSettings(candidate_count=20, factor_count=16))
    wait_until(lambda: stub.GetModel(pb.GetModelRequest()).version == trained)
    refusal = refused(stub.Recommend, pb.RecommendRequest(**QUERY, page_token=token))
    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.reason == "PAGE_OUTDATED"
    assert refusal.message.startswith("page_token: the model has changed since it was issued")
