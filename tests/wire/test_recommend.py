"""What Recommend answers."""

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.domain.interactions import IS_READ_TYPE
from service.storage import Database

READER = 7
NEW_READER = 10**15


@pytest.fixture
def recommend(service):
    def ask(**fields) -> pb.RecommendResponse:
        return service.client.recommendations.Recommend(pb.RecommendRequest(**fields))

    return ask


@pytest.fixture(scope="module")
def read_by(prepared_shop):
    """Return the books that a reader bought, read or rated."""
    with Database.open(prepared_shop.url) as database:
        log = database.interactions()

    def find(reader_id: int) -> set[int]:
        return set(log.book_ids[(log.reader_ids == reader_id) & IS_READ_TYPE[log.types]].tolist())

    return find


@pytest.fixture(scope="module")
def categories(service):
    """The categories of every book."""
    return {book.id: set(book.categories) for book in service.app.recommender.catalogue.books()}


def ids(answer) -> list[int]:
    return [book.book_id for book in answer.books]


def test_known_reader_gets_personal_books_best_first_with_the_books_that_speak_for_them(recommend, read_by):
    answer = recommend(reader_id=READER)
    assert answer.strategy == pb.STRATEGY_PERSONAL
    assert len(answer.books) == 10
    assert answer.filled_count == 0
    scores = [book.score for book in answer.books]
    assert scores == sorted(scores, reverse=True)
    for book in answer.books:
        assert book.title
        assert book.authors
        assert book.reason.kind == pb.Reason.KIND_BECAUSE_YOU_READ
        assert book.reason.because_book_id
        assert book.reason.because_title
        assert 0 < book.reason.share <= 1


def test_what_was_read_is_left_out_unless_it_is_asked_for(recommend, read_by):
    read = read_by(READER)
    assert read
    assert not read & set(ids(recommend(reader_id=READER, page_size=100)))
    assert read & set(ids(recommend(reader_id=READER, page_size=100, include_read=True)))


def test_excluded_books_are_left_out_and_the_next_ones_move_up(recommend):
    first = ids(recommend(reader_id=READER, page_size=12))
    gone = {first[0], first[4]}
    without = ids(recommend(reader_id=READER, exclude_book_ids=[*gone, 10**12, -1]))
    assert len(without) == 10
    assert not gone & set(without)
    # Those next to each other may change places: scores are measured by the best candidates' mean.
    assert set(first[:9]) - gone <= set(without)


def test_categories_hold_for_every_book_of_an_answer(recommend, categories):
    wanted = {"mystery", "ghost-stories"}
    answer = recommend(reader_id=READER, categories=sorted(wanted), page_size=100)
    assert len(answer.books) > 50
    assert all(categories[book] & wanted for book in ids(answer))


def test_popular_books_fill_a_category_up_and_are_counted(recommend, categories):
    answer = recommend(reader_id=READER, categories=["ghost-stories"], page_size=100)
    learned = len(answer.books) - answer.filled_count
    assert 0 < answer.filled_count < len(answer.books)
    kinds = [book.reason.kind for book in answer.books]
    assert (
        kinds == [pb.Reason.KIND_BECAUSE_YOU_READ] * learned + [pb.Reason.KIND_POPULAR] * answer.filled_count
    )
    assert {book.reason.category for book in answer.books[learned:]} == {"ghost-stories"}
    assert all("ghost-stories" in categories[book] for book in ids(answer))


def test_unknown_reader_gets_popular_books(recommend):
    answer = recommend(reader_id=NEW_READER)
    assert answer.strategy == pb.STRATEGY_POPULAR
    assert answer.filled_count == len(answer.books) == 10
    assert all(book.reason.kind == pb.Reason.KIND_POPULAR for book in answer.books)
    scores = [book.score for book in answer.books]
    assert scores == sorted(scores, reverse=True)


def test_largest_reader_id_is_a_reader_like_any_other(recommend):
    assert ids(recommend(reader_id=2**63 - 1)) == ids(recommend(reader_id=NEW_READER))


def test_nobody_in_particular_gets_popular_books(recommend):
    assert recommend().strategy == pb.STRATEGY_POPULAR
    assert ids(recommend()) == ids(recommend(reader_id=NEW_READER))


def test_session_gets_books_that_follow_from_it_and_none_of_its_own(recommend):
    recent = ids(recommend(reader_id=READER))[:3]
    answer = recommend(recent_book_ids=recent)
    assert answer.strategy == pb.STRATEGY_SESSION
    assert not set(recent) & set(ids(answer))
    assert {book.reason.because_book_id for book in answer.books} <= set(recent)


def test_book_that_a_session_names_twice_counts_once_where_it_is_named_last(recommend):
    first, second, third = ids(recommend(reader_id=READER))[:3]
    twice = recommend(recent_book_ids=[third, first, second, third])
    assert ids(twice) == ids(recommend(recent_book_ids=[first, second, third]))
    assert ids(twice) != ids(recommend(recent_book_ids=[third, first, second]))


def test_pages_join_to_the_list_that_one_large_page_gives(recommend):
    query = {"reader_id": READER, "categories": ["mystery", "science-fiction"]}
    whole = ids(recommend(**query, page_size=100))
    pages, token = [], ""
    while len(pages) < len(whole):
        page = recommend(**query, page_size=7, page_token=token)
        pages += ids(page)
        token = page.next_page_token
        assert token
    assert pages[: len(whole)] == whole


def all_pages(recommend, **query):
    seen, token = [], ""
    while True:
        page = recommend(page_size=100, page_token=token, **query)
        seen += ids(page)
        token = page.next_page_token
        if not token:
            return seen
        assert len(page.books) == 100


def test_paging_reaches_every_book_that_is_left_to_recommend_once(service, recommend, read_by):
    seen = all_pages(recommend, reader_id=READER, any_edition=True, any_volume=True)
    catalogue = service.app.recommender.catalogue
    assert sorted(seen) == sorted({book.id for book in catalogue.books()} - read_by(READER))


def test_answers_have_names_of_their_own_and_name_the_model(service, recommend):
    first, second = recommend(reader_id=READER), recommend(reader_id=READER)
    assert first.recommendation_id != second.recommendation_id
    assert 1 <= len(first.recommendation_id) <= 64
    assert first.model_version == service.shop.models.current_version()


@pytest.mark.parametrize("page_size", [1, 100])
def test_page_sizes_at_their_bounds_are_kept(recommend, page_size):
    assert len(recommend(reader_id=READER, page_size=page_size).books) == page_size
