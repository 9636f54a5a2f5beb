"""What shapes a list besides the reader, asked for over the wire: each field makes a difference."""

import pytest
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as catalogue
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.book_pb2 import Book

from service.domain.answers import Query
from service.domain.recommender import Recommender
from service.storage import Database

READER = 7


@pytest.fixture
def recommend(service):
    def ask(**fields) -> pb.RecommendResponse:
        return service.client.recommendations.Recommend(pb.RecommendRequest(**{"reader_id": READER} | fields))

    return ask


@pytest.fixture(scope="module")
def books(service):
    return {book.id: book for book in service.app.recommender.catalogue.books()}


def ids(answer) -> list[int]:
    return [book.book_id for book in answer.books]


def test_reasons_in_full_are_told_where_they_are_asked_for(recommend):
    short, full = recommend(page_size=20), recommend(page_size=20, explain=True)
    assert ids(short) == ids(full)
    assert not any(book.reason.parts for book in short.books)
    for one, other in zip(short.books, full.books, strict=True):
        parts = other.reason.parts
        assert 1 <= len(parts) <= 5
        assert [part.share for part in parts] == sorted((part.share for part in parts), reverse=True)
        assert sum(part.share for part in parts) <= 1 + 1e-6
        assert (parts[0].book_id, parts[0].title) == (
            one.reason.because_book_id,
            one.reason.because_title,
        )
        assert parts[0].share == pytest.approx(one.reason.share)


def test_the_next_volume_of_a_series_says_so(start):
    service = start()
    volumes = [
        Book(id=9_000_000 + n, title=f"Saga {n}", series="Saga", series_position=n, categories=["saga"])
        for n in (1, 2, 3)
    ]
    service.client.catalogue.UpsertBooks(catalogue.UpsertBooksRequest(books=volumes))
    stub = service.client.recommendations

    def offered(*read: int, **fields):
        request = pb.RecommendRequest(recent_book_ids=read, categories=["saga"], explain=True, **fields)
        return stub.Recommend(request).books

    assert [book.book_id for book in offered(1)] == [9_000_001]
    (second,) = offered(9_000_001)
    assert second.book_id == 9_000_002
    if second.reason.kind != pb.Reason.KIND_POPULAR:
        assert second.reason.kind == pb.Reason.KIND_NEXT_IN_SERIES
    assert len(offered(1, any_volume=True)) == 3


def test_all_categories_are_fewer_books_than_any(recommend, books):
    wanted = ["mystery", "science-fiction"]
    either, both = (
        ids(recommend(categories=wanted, every_category=every, page_size=100)) for every in (False, True)
    )
    assert len(either) == 100
    assert all(set(wanted) <= set(books[book].categories) for book in both)
    assert any(not set(wanted) <= set(books[book].categories) for book in either)


def test_a_language_holds_for_every_book_and_none_has_one_that_no_book_is_in(start):
    service = start()
    made = [
        Book(id=9_000_000 + n, title=f"Band {n}", language=language, categories=["tongues"])
        for n, language in enumerate(("de", "de-AT", "en", ""))
    ]
    service.client.catalogue.UpsertBooks(catalogue.UpsertBooksRequest(books=made))

    def offered(*languages: str) -> list[int]:
        request = pb.RecommendRequest(categories=["tongues"], languages=languages)
        return sorted(ids(service.client.recommendations.Recommend(request)))

    assert offered() == [9_000_000, 9_000_001, 9_000_002, 9_000_003]
    assert offered("de") == [9_000_000, 9_000_001]
    assert offered("DE-at") == [9_000_001]
    assert offered("en", "de-AT") == [9_000_001, 9_000_002]
    assert offered("fr") == []


def test_no_author_has_more_books_than_allowed_over_all_pages(recommend, books):
    free = ids(recommend(page_size=100))
    per_author = [sum(author in books[each].authors for each in free) for author in books[free[0]].authors]
    assert max(per_author) > 1
    capped, token = [], ""
    for _ in range(4):
        page = recommend(page_size=25, max_per_author=1, page_token=token)
        capped += ids(page)
        token = page.next_page_token
        if not token:
            break
    assert len(capped) > 25
    authors = [author for each in capped for author in books[each].authors]
    assert len(authors) == len(set(authors))


def test_diversity_brings_other_books_to_the_front_and_loses_none(recommend):
    by_score, mixed = (recommend(page_size=100, diversity=diversity) for diversity in (0, 0.6))
    assert ids(by_score)[0] == ids(mixed)[0]
    assert ids(by_score)[:20] != ids(mixed)[:20]
    assert sorted(ids(by_score)) == sorted(ids(mixed))
    pages = recommend(page_size=9, diversity=0.6)
    following = recommend(page_size=9, diversity=0.6, page_token=pages.next_page_token)
    assert ids(pages) + ids(following) == ids(mixed)[:18]


def test_popular_books_of_one_category_say_in_which(recommend):
    answer = recommend(reader_id=10**15, categories=["ghost-stories"], explain=True)
    assert {book.reason.kind for book in answer.books} == {pb.Reason.KIND_POPULAR}
    assert {book.reason.category for book in answer.books} == {"ghost-stories"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"page_size": 100},
        {"explain": True},
        {"diversity": 0.4, "max_per_author": 2},
        {"languages": ["en"], "any_volume": True},
        {"reader_id": 0, "recent_book_ids": [3, 9, 27]},
    ],
    ids=str,
)
def test_a_stream_gives_exactly_what_single_calls_give(service, fields):
    stub = service.client.recommendations
    requests = [
        pb.RecommendRequest(**{"reader_id": reader} | fields)
        for reader in (range(1, 60) if fields.get("reader_id", 1) else (0,))
    ]
    alone = [stub.Recommend(request) for request in requests]
    streamed = stub.RecommendMany(pb.RecommendManyRequest(request=request) for request in requests)
    for one, other in zip(alone, streamed, strict=True):
        other.response.recommendation_id = one.recommendation_id
        assert one == other.response


def test_what_is_served_is_what_evaluation_ranks(service):
    # As evaluation does: from the log and the stored model, in another process's memory.
    with Database.open(service.shop.url) as database:
        books, log = list(database.books()), database.interactions()
    model = service.shop.models.load(service.shop.models.current_version())
    judged = Recommender.of(books, log, model)
    stub = service.client.recommendations
    for reader in [*range(1, 150), 10**12]:
        answer = stub.Recommend(pb.RecommendRequest(reader_id=reader, page_size=20))
        assert ids(answer) == judged.ranked(Query(reader_id=reader, places=20))
