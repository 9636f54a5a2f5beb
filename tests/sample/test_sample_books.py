"""The sample catalogue: enough real books, each within the rules, none twice."""

from collections import Counter

import pytest

from service.domain.books import Book, book_violations
from service.sample import sample_books


@pytest.fixture(scope="module")
def books() -> list[Book]:
    return sample_books()


def test_there_are_at_least_300_books_with_ids_from_1_without_gaps(books):
    assert len(books) >= 300
    assert [book.id for book in books] == list(range(1, len(books) + 1))


@pytest.mark.parametrize(
    ("category", "at_least"), [("mystery", 70), ("science-fiction", 60), ("ghost-stories", 60)]
)
def test_the_tutorials_categories_are_well_stocked(books, category, at_least):
    assert sum(category in book.categories for book in books) >= at_least


def test_no_category_is_a_slip_of_the_pen(books):
    stock = Counter(category for book in books for category in book.categories)
    assert {category: count for category, count in stock.items() if count < 5} == {}


def test_every_book_keeps_the_rules_of_a_book(books):
    assert [violation for book in books for violation in book_violations(book)] == []


def test_every_book_says_all_that_is_known_of_a_real_book(books):
    for book in books:
        assert book.authors, book
        assert book.language, book
        assert book.year != 0, book
        assert book.year < 1931, f"not in the public domain: {book}"
        assert book.title == book.title.strip(), book
        assert all(author == author.strip() for author in book.authors), book


def test_no_book_is_there_twice(books):
    seen = Counter((book.title.casefold(), book.authors[0].casefold()) for book in books)
    assert [key for key, count in seen.items() if count > 1] == []


def test_names_of_authors_and_series_are_spelt_one_way(books):
    for names in (
        {author for book in books for author in book.authors},
        {book.series for book in books if book.series},
    ):
        assert len({name.casefold().replace(".", "").replace(" ", "") for name in names}) == len(names)


def test_editions_of_a_work_share_the_id_of_the_first_one_and_its_author(books):
    works = Counter(book.work_id for book in books if book.work_id)
    assert len(works) >= 5
    for work_id, editions in works.items():
        assert editions >= 2
        first = books[work_id - 1]
        assert first.work_id == work_id
        assert all(book.authors == first.authors for book in books if book.work_id == work_id)


def test_a_place_in_a_series_is_taken_by_one_work(books):
    places: dict[tuple[str, float], set[int]] = {}
    for book in books:
        if book.series_position:
            assert book.series, book
            places.setdefault((book.series, book.series_position), set()).add(book.work_id or -book.id)
    assert [place for place, works in places.items() if len(works) > 1] == []
