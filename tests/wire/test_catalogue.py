"""What CatalogueService answers and changes."""

import grpc
import pytest
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as pb
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as recommendations
from onlinebooks.recommendations.v1.book_pb2 import Book

from service.sample import sample_books
from tests.world import refused

NEW_ID = 10**12


def a_book(**fields) -> Book:
    return Book(**({"id": NEW_ID, "title": "The Lost Folio", "categories": ["mystery"]} | fields))


@pytest.fixture
def catalogue(service):
    return service.client.catalogue


@pytest.fixture
def own(start):
    """A service of the test's own."""
    return start()


def listed(catalogue, **fields) -> list[int]:
    found, token = [], ""
    while True:
        page = catalogue.ListBooks(pb.ListBooksRequest(page_token=token, **fields))
        found += [book.id for book in page.books]
        token = page.next_page_token
        if not token:
            return found


def test_book_comes_back_whole(catalogue):
    expected = next(book for book in sample_books() if book.series and len(book.categories) > 1)
    book = catalogue.GetBook(pb.GetBookRequest(book_id=expected.id)).book
    assert (book.id, book.title, tuple(book.authors)) == (expected.id, expected.title, expected.authors)
    assert (book.year, book.language, book.work_id) == (expected.year, expected.language, expected.work_id)
    assert (book.series, book.series_position) == (expected.series, expected.series_position)
    assert tuple(book.categories) == expected.categories


def test_unknown_book_is_not_found(catalogue):
    refusal = refused(catalogue.GetBook, pb.GetBookRequest(book_id=2**63 - 1))
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert refusal.message == "book 9223372036854775807 does not exist"


@pytest.mark.parametrize("page_size", [1000, 97, 0])
def test_pages_list_the_whole_catalogue_by_id(catalogue, page_size):
    assert listed(catalogue, page_size=page_size) == [book.id for book in sample_books()]


def test_category_lists_its_books_and_counts_them(catalogue):
    counts = {
        each.slug: each.book_count for each in catalogue.ListCategories(pb.ListCategoriesRequest()).categories
    }
    assert list(counts) == sorted(counts)
    for slug in ("mystery", "science-fiction", "ghost-stories"):
        expected = [book.id for book in sample_books() if slug in book.categories]
        assert listed(catalogue, category=slug, page_size=10) == expected
        assert counts[slug] == len(expected) > 20


def test_new_book_is_found_at_once_in_a_category_of_its_own(own):
    catalogue = own.client.catalogue
    book = a_book(
        title="Ein Büchlein 本 📚",
        authors=["Ann Other", "B. Other"],
        year=-800,
        language="pt-BR",
        series="Folios",
        series_position=1.5,
        work_id=1,
        categories=["brand-new"],
    )
    answer = catalogue.UpsertBooks(pb.UpsertBooksRequest(books=[book]))
    assert (answer.inserted_count, answer.updated_count) == (1, 0)
    assert catalogue.GetBook(pb.GetBookRequest(book_id=NEW_ID)).book == book
    assert listed(catalogue, category="brand-new") == [NEW_ID]
    request = recommendations.RecommendRequest(reader_id=7, categories=["brand-new"])
    answer = own.client.recommendations.Recommend(request)
    assert [each.title for each in answer.books] == [book.title]
    assert answer.filled_count == 1


def test_changed_book_is_replaced_everywhere(own):
    catalogue, stub = own.client.catalogue, own.client.recommendations
    best = stub.Recommend(recommendations.RecommendRequest(reader_id=7)).books[0].book_id
    changed = pb.UpsertBooksRequest(books=[a_book(id=best, title="Renamed", categories=["mystery"])])
    answer = catalogue.UpsertBooks(changed)
    assert (answer.inserted_count, answer.updated_count) == (0, 1)
    assert stub.Recommend(recommendations.RecommendRequest(reader_id=7)).books[0].title == "Renamed"
    assert own.shop.counts()[0] == len(sample_books())


def test_deleted_books_leave_every_answer_and_stay_gone_after_a_restart(own, start):
    stub = own.client.recommendations
    request = recommendations.RecommendRequest(reader_id=7, page_size=5)
    doomed = [book.book_id for book in stub.Recommend(request).books]
    answer = own.client.catalogue.DeleteBooks(pb.DeleteBooksRequest(book_ids=[*doomed, doomed[0], 10**9]))
    assert (answer.deleted_count, answer.unknown_count) == (5, 1)
    for service in (own, start(own.shop)):
        left = service.client.recommendations.Recommend(
            recommendations.RecommendRequest(reader_id=7, page_size=100)
        )
        assert not set(doomed) & {book.book_id for book in left.books}
        refusal = refused(service.client.catalogue.GetBook, pb.GetBookRequest(book_id=doomed[0]))
        assert refusal.code is grpc.StatusCode.NOT_FOUND


def test_batch_with_one_bad_book_stores_none(own):
    before = own.shop.counts()
    books = [a_book(id=NEW_ID + n) for n in range(999)] + [a_book(id=NEW_ID + 999, title=" ")]
    refusal = refused(own.client.catalogue.UpsertBooks, pb.UpsertBooksRequest(books=books))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.violations == {"books[999].title": '" " is empty'}
    assert own.shop.counts() == before
    assert refused(own.client.catalogue.GetBook, pb.GetBookRequest(book_id=NEW_ID)).reason == "BOOK_NOT_FOUND"


def test_thousand_books_are_a_batch(own):
    books = [a_book(id=NEW_ID + n) for n in range(1000)]
    assert own.client.catalogue.UpsertBooks(pb.UpsertBooksRequest(books=books)).inserted_count == 1000
    request = pb.DeleteBooksRequest(book_ids=[book.id for book in books])
    assert own.client.catalogue.DeleteBooks(request).deleted_count == 1000


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"id": 0}, {"id": "0 is not between 1 and 9223372036854775807"}),
        ({"id": -(2**63)}, {"id": "-9223372036854775808 is not between 1 and 9223372036854775807"}),
        ({"title": "x" * 501}, {"title": '"' + "x" * 57 + '..." is longer than 500 characters'}),
        ({"title": "two\nlines"}, {"title": '"two?lines" has control characters'}),
        ({"authors": ["A"] * 21}, {"authors": "21 authors are more than 20"}),
        ({"year": 2101}, {"year": "2101 is not between -3000 and 2100"}),
        ({"language": "english!"}, {"language": '"english!" is not a BCP 47 tag such as "en" or "pt-BR"'}),
        ({"series_position": float("nan")}, {"series_position": "nan is not between 0 and 10000"}),
        ({"work_id": -1}, {"work_id": "-1 is not between 0 and 9223372036854775807"}),
        ({"categories": []}, {"categories": "0 categories are not between 1 and 20"}),
        (
            {"categories": ["Mystery"]},
            {
                "categories[0]": '"Mystery" is not a slug of 1 to 64 lower-case letters, digits and '
                "single hyphens"
            },
        ),
    ],
)
def test_book_that_breaks_a_rule_is_refused(catalogue, service, fields, violations):
    before = service.shop.counts()
    refusal = refused(catalogue.UpsertBooks, pb.UpsertBooksRequest(books=[a_book(**fields)]))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.violations == {f"books[0].{field}": rule for field, rule in violations.items()}
    assert all(rule in refusal.message for rule in refusal.violations.values())
    assert service.shop.counts() == before


@pytest.mark.parametrize("count", [0, 1001])
def test_batch_of_books_out_of_bounds_is_refused(catalogue, count):
    rule = f"{count} entries are not between 1 and 1000"
    upsert = pb.UpsertBooksRequest(books=[a_book(id=NEW_ID + n) for n in range(count)])
    assert refused(catalogue.UpsertBooks, upsert).violations == {"books": rule}
    delete = pb.DeleteBooksRequest(book_ids=range(1, count + 1))
    assert refused(catalogue.DeleteBooks, delete).violations == {"book_ids": rule}


def test_same_book_twice_in_a_batch_is_refused(catalogue):
    refusal = refused(catalogue.UpsertBooks, pb.UpsertBooksRequest(books=[a_book(), a_book(title="Other")]))
    assert refusal.violations == {"books[1].id": f"{NEW_ID} is there twice"}


def test_ids_that_no_book_can_have_are_refused(catalogue):
    refusal = refused(catalogue.DeleteBooks, pb.DeleteBooksRequest(book_ids=[5, 0, -3]))
    assert set(refusal.violations) == {"book_ids[1]", "book_ids[2]"}
