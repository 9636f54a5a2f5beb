"""Books that the model has not learned of, found by what is known of them until somebody has read them."""

from service.domain.answers import Query
from service.domain.books import Book
from service.domain.interactions import InteractionType
from service.domain.recommender import Recommender
from tests.domain.shop import book, did, log_of, model_of

KNOWN = [
    book(1, "mystery", authors=("Doyle",)),
    book(2, "mystery", authors=("Poe",), series="Dupin", series_position=1),
    book(3, "travel", authors=("Verne",)),
    book(4, "travel"),
]
MODEL = model_of({1: {4: 1.0}, 2: {4: 1.0}, 3: {4: 1.0}, 4: {1: 1.0}}, [1, 2, 3, 4, 50], unread=[50])
BY_DOYLE = book(10, "history", authors=("Doyle",))
BY_POE = book(11, "history", series="Dupin", series_position=2)
A_JOURNEY = book(12, "travel")


def learned(*events, books=(), model=MODEL, **query):
    live = Recommender.of([*KNOWN, *books], log_of(*events), model)
    answer = live.recommend(Query(reader_id=7, **query))
    return {each.book.id: each for each in answer.suggestions if each.because_id}


def test_a_new_book_is_found_by_its_author_behind_what_was_learned():
    found = learned(did(7, 1), books=[BY_DOYLE, A_JOURNEY])
    assert list(found) == [4, 10]
    assert (found[10].because_id, found[10].share) == (1, 1.0)


def test_a_new_volume_is_found_by_its_series():
    assert list(learned(did(7, 2), books=[BY_POE])) == [4, 11]


def test_a_new_book_is_found_by_its_category_last():
    assert list(learned(did(7, 3), books=[A_JOURNEY, book(13, "travel", authors=("Verne",))])) == [4, 13, 12]


def test_a_book_of_the_model_that_nobody_has_read_is_new_too():
    assert 50 in learned(did(7, 1), books=[book(50, "history", authors=("Doyle",))])
    assert 50 not in learned(
        did(7, 1),
        books=[book(50, "history", authors=("Doyle",))],
        model=model_of({1: {4: 1.0}}, [1, 2, 3, 4, 50]),
    )


def test_a_history_of_new_books_alone_leads_to_books_like_them():
    assert 1 in learned(did(7, 10), books=[BY_DOYLE])
    assert 1 not in learned(did(7, 10, InteractionType.NOT_INTERESTED), books=[BY_DOYLE])


def test_every_new_book_of_a_large_shelf_leads_to_books_like_it():
    many = [book(number, "mystery", authors=("Doyle",)) for number in range(100, 400)]
    assert {1, 2} <= learned(did(7, 100), books=many).keys()


# Those who read a book may have read nothing else: then it is not new, and nothing was learned of it.
LONELY = book(20, "travel", authors=("Verne",))
LONELY_MODEL = model_of({1: {4: 1.0}, 2: {4: 1.0}, 3: {4: 1.0}, 4: {1: 1.0}}, [1, 2, 3, 4, 20])


def test_a_history_of_a_book_without_neighbours_leads_to_books_like_it():
    found = learned(did(7, 20), did(8, 20), books=[LONELY], model=LONELY_MODEL)
    assert list(found) == [3, 4]  # by its author, then by its category
    assert (found[3].because_id, found[3].share) == (20, 1.0)


def test_a_book_without_neighbours_is_like_others_and_not_like_itself():
    found = learned(did(7, 20), books=[LONELY], model=LONELY_MODEL, include_read=True)
    assert list(found) == [3, 4]
    assert 20 not in learned(did(7, 3), books=[LONELY], model=LONELY_MODEL)


def test_books_of_which_nothing_is_known_get_no_neighbours_by_content():
    bare = Book(20, "Untold")
    assert not learned(did(7, 20), books=[bare], model=LONELY_MODEL)


def test_a_book_that_is_put_while_the_shop_is_open_is_found_at_once():
    live = Recommender.of(KNOWN, log_of(did(7, 1)), MODEL)
    live.upsert_books([BY_DOYLE])
    fresh = Recommender.of([*KNOWN, BY_DOYLE], log_of(did(7, 1)), MODEL)
    assert live.recommend(Query(reader_id=7)) == fresh.recommend(Query(reader_id=7))
    assert 10 in live.ranked(Query(reader_id=7, places=2))


def test_a_model_that_has_learned_of_it_takes_its_place():
    live = Recommender.of([*KNOWN, BY_DOYLE], log_of(did(7, 1)), MODEL)
    live.use_model(model_of({1: {4: 1.0}}, [1, 2, 3, 4, 10], version="m2"))
    assert [each.book.id for each in live.recommend(Query(reader_id=7)).suggestions if each.because_id] == [4]


def test_a_shelf_of_new_books_costs_no_more_than_its_latest():
    many = [book(number, "mystery", authors=("Doyle",)) for number in range(100, 400)]
    found = learned(did(7, 1), books=many, places=100)
    assert set(found) == {4, *range(370, 400)}


def test_two_languages_make_no_category():
    german = book(10, "history", language="de")
    live = Recommender.of([book(1, "mystery", language="de"), german], log_of(did(7, 1)), MODEL)
    assert not live.recommend(Query(reader_id=7)).suggestions[0].because_id
