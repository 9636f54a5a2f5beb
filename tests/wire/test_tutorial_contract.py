"""The tutorial's contract, answered by the same recommender."""

import grpc
import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as v1
from onlinebooks.recommendations.v1.book_pb2 import Book
from onlinebooks.recommendations.v1.catalogue_service_pb2 import DeleteBooksRequest, UpsertBooksRequest
from recommendations_pb2 import BookCategory, RecommendationRequest

from tests.wire.batches import NEWCOMER, a_batch, an_interaction
from tests.world import refused

SHELVES = {"mystery": 0, "science-fiction": 1, "ghost-stories": 2}


@pytest.fixture
def recommend(service):
    return service.client.tutorial.Recommend


@pytest.mark.parametrize(("slug", "number"), SHELVES.items())
def test_answers_are_those_of_the_v1_contract_for_the_shelf(recommend, service, slug, number):
    answer = recommend(RecommendationRequest(user_id=7, category=number, max_results=30))
    request = v1.RecommendRequest(reader_id=7, categories=[slug], page_size=30)
    expected = service.client.recommendations.Recommend(request).books
    assert [(each.id, each.title) for each in answer.recommendations] == [
        (each.book_id, each.title) for each in expected
    ]
    assert len(answer.recommendations) == 30


def test_both_spellings_of_the_ghost_stories_are_one_shelf(recommend):
    one, other = (
        recommend(RecommendationRequest(user_id=1, category=category, max_results=3))
        for category in (BookCategory.GHOST_STORY, BookCategory.GHOST_STORIES)
    )
    assert one == other
    assert len(one.recommendations) == 3


def test_shelf_that_is_left_out_is_mystery(recommend):
    assert recommend(RecommendationRequest(user_id=1, max_results=3)) == recommend(
        RecommendationRequest(user_id=1, category=BookCategory.MYSTERY, max_results=3)
    )


def test_reader_that_the_shop_never_saw_gets_books(recommend):
    assert len(recommend(RecommendationRequest(user_id=2**31 - 1, max_results=100)).recommendations) == 100


@pytest.mark.parametrize("max_results", [0, -1, -(2**31), 101, 2**31 - 1])
def test_number_of_results_out_of_bounds_is_refused(recommend, max_results):
    refusal = refused(recommend, RecommendationRequest(user_id=1, max_results=max_results))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.message == f"max_results: {max_results} is not between 1 and 100"
    assert refusal.violations == {"max_results": f"{max_results} is not between 1 and 100"}
    assert refusal.reason == "INVALID_INPUT"


@pytest.mark.parametrize("category", [3, 99, -1, 2**31 - 1])
def test_unknown_category_number_is_refused(recommend, category):
    refusal = refused(recommend, RecommendationRequest(user_id=1, category=category, max_results=3))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.message == (
        f"category: {category} is not MYSTERY (0), SCIENCE_FICTION (1) or GHOST_STORIES (2)"
    )


@pytest.mark.parametrize("user_id", [0, -1, -(2**31)])
def test_number_that_no_reader_has_is_refused(recommend, user_id):
    refusal = refused(recommend, RecommendationRequest(user_id=user_id, max_results=3))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.message == f"user_id: {user_id} is not between 1 and 2147483647"


def test_every_broken_rule_is_named_at_once(recommend):
    refusal = refused(recommend, RecommendationRequest(user_id=-1, category=9, max_results=-9))
    assert set(refusal.violations) == {"user_id", "category", "max_results"}


def test_number_too_large_for_the_field_never_leaves_the_client():
    with pytest.raises(ValueError, match="out of range"):
        RecommendationRequest(user_id=2**31)
    with pytest.raises(TypeError):
        RecommendationRequest(user_id="some string")


def test_book_whose_id_the_contract_cannot_carry_is_left_out(start):
    service = start()
    catalogue = service.app.recommender.catalogue
    ghosts = [book.id for book in catalogue.books() if "ghost-stories" in book.categories]
    service.client.catalogue.DeleteBooks(DeleteBooksRequest(book_ids=ghosts))
    request = RecommendationRequest(user_id=1, category=BookCategory.GHOST_STORIES, max_results=9)
    assert not service.client.tutorial.Recommend(request).recommendations
    books = [Book(id=id, title=f"Ghost {id}", categories=["ghost-stories"]) for id in (2**31 - 1, 2**31)]
    service.client.catalogue.UpsertBooks(UpsertBooksRequest(books=books))
    answer = service.client.tutorial.Recommend(request)
    assert [each.id for each in answer.recommendations] == [2**31 - 1]


def test_books_with_larger_ids_do_not_use_up_places(start):
    service = start()
    large = [Book(id=2**40 + n, title=f"Mystery {n}", categories=["mystery"]) for n in range(20)]
    service.client.catalogue.UpsertBooks(UpsertBooksRequest(books=large))
    batch = [
        an_interaction(f"{reader}-{book.id}", reader_id=NEWCOMER + reader, book_id=book.id)
        for reader in range(400)
        for book in large
    ]
    service.client.recommendations.RecordInteractions(a_batch(*batch))
    service.app.recommender.refresh_popularity()
    request = RecommendationRequest(user_id=2**31 - 1, category=BookCategory.MYSTERY, max_results=5)
    assert len(service.client.tutorial.Recommend(request).recommendations) == 5
