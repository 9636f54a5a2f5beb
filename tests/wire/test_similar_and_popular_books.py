"""What SimilarBooks and PopularBooks answer."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.app import microseconds_now
from tests.domain.shop import did
from tests.world import refused

DAY_SECONDS = 86_400


@pytest.fixture
def stub(service):
    return service.client.recommendations


def some_book(stub) -> int:
    return stub.PopularBooks(pb.PopularBooksRequest(page_size=1)).books[0].book_id


def test_similar_books_are_others_most_similar_first(stub, service):
    book_id = some_book(stub)
    answer = stub.SimilarBooks(pb.SimilarBooksRequest(book_id=book_id, page_size=20))
    assert len(answer.books) == 20
    assert book_id not in [book.book_id for book in answer.books]
    scores = [book.score for book in answer.books]
    assert scores == sorted(scores, reverse=True)
    assert {book.reason.because_book_id for book in answer.books} == {book_id}
    assert answer.model_version == service.shop.models.current_version()
    assert answer.recommendation_id


def test_similar_books_stay_in_the_categories(stub, service):
    request = pb.SimilarBooksRequest(book_id=some_book(stub), categories=["mystery"], page_size=5)
    catalogue = service.app.recommender.catalogue
    books = stub.SimilarBooks(request).books
    assert books
    assert all("mystery" in catalogue.book(book.book_id).categories for book in books)


def test_nothing_is_similar_to_a_book_that_does_not_exist(stub):
    refusal = refused(stub.SimilarBooks, pb.SimilarBooksRequest(book_id=10**12))
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert refusal.message == "book 1000000000000 does not exist"
    assert refusal.reason == "BOOK_NOT_FOUND"


def test_popular_books_are_in_the_category_most_popular_first(stub, service):
    answer = stub.PopularBooks(pb.PopularBooksRequest(category="science-fiction", page_size=30))
    catalogue = service.app.recommender.catalogue
    assert len(answer.books) == 30
    assert all("science-fiction" in catalogue.book(book.book_id).categories for book in answer.books)
    scores = [book.score for book in answer.books]
    assert scores == sorted(scores, reverse=True)
    assert {book.reason.category for book in answer.books} == {"science-fiction"}


def test_window_counts_what_happened_in_it_alone(stub):
    def popular(**window):
        request = pb.PopularBooksRequest(page_size=100, window=Duration(**window) if window else None)
        return {book.book_id: book.score for book in stub.PopularBooks(request).books}

    ever, month = popular(), popular(seconds=30 * DAY_SECONDS)
    assert month
    assert max(month.values()) < max(ever.values())
    assert sum(month.values()) < sum(popular(seconds=365 * DAY_SECONDS).values()) < sum(ever.values())
    assert popular(seconds=3650 * DAY_SECONDS) == ever


def test_a_half_life_favours_what_was_read_lately(start):
    service = start()
    stub = service.client.recommendations
    everything = {book.book_id: book.score for book in popular_books(stub)}
    year = Duration(seconds=365 * DAY_SECONDS)
    halved = {book.book_id: book.score for book in popular_books(stub, half_life=year)}
    assert len(halved) == 100
    assert all(score < everything[book_id] for book_id, score in halved.items() if book_id in everything)
    (rare, *_) = sorted(
        {book.id for book in service.app.recommender.catalogue.books()} - set(everything) - set(halved)
    )
    now = microseconds_now()
    service.app.recommender.learn([did(reader, rare, at=now) for reader in range(10**9, 10**9 + 50)])
    day = Duration(seconds=DAY_SECONDS)
    assert popular_books(stub, half_life=day)[0].book_id == rare
    assert popular_books(stub)[0].book_id != rare
    (best, *_) = popular_books(stub, window=day, trending=True)
    assert (best.book_id, best.score) == (rare, 50)


def popular_books(stub, **fields):
    return stub.PopularBooks(pb.PopularBooksRequest(page_size=100, **fields)).books


def test_window_of_a_quiet_hour_may_be_empty(start):
    in_ten_years = (2036 - 1970) * 365 * DAY_SECONDS * 1_000_000
    stub = start(now=lambda: in_ten_years).client.recommendations
    assert not stub.PopularBooks(pb.PopularBooksRequest(window=Duration(seconds=3600))).books


def test_window_with_impossible_nanos_is_refused(stub):
    refusal = refused(
        stub.PopularBooks, pb.PopularBooksRequest(window=Duration(seconds=7200, nanos=2 * 10**9))
    )
    assert refusal.violations == {"window.nanos": "2000000000 is not between 0 and 999999999"}


@pytest.mark.parametrize(
    ("window", "value"),
    [
        (Duration(), "0s"),
        (Duration(seconds=-3600), "-3600s"),
        (Duration(seconds=3599, nanos=999_000_000), "3599.999s"),
        (Duration(seconds=3650 * DAY_SECONDS + 1), "315360001s"),
        (Duration(seconds=2**63 - 1), "9.22337203685478e+18s"),
    ],
)
def test_window_out_of_bounds_is_refused(stub, window, value):
    refusal = refused(stub.PopularBooks, pb.PopularBooksRequest(window=window))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.violations == {"window": f'"{value}" is not between 1 hour and 3650 days'}
