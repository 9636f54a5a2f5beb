"""The catalogue against the simplest thing that could do its work: books in a dict, positions in a list."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.books import Book
from service.domain.catalogue import Catalogue
from service.domain.catalogue_pages import CataloguePages
from service.domain.errors import InvalidInput, NotFound
from tests.domain.shop import book

# More than the 63 that one word holds beside the bit for any.
SLUGS = [f"category-{number}" for number in range(150)]
TEXTS = st.text(max_size=12)
BOOKS = st.builds(
    Book,
    id=st.one_of(st.integers(1, 30), st.integers(2**31 - 2, 2**31 + 2), st.just(2**63 - 1)),
    title=TEXTS,
    authors=st.lists(TEXTS, max_size=3).map(tuple),
    year=st.integers(-3000, 2100),
    language=st.sampled_from(["", "en", "pt-BR"]),
    series=TEXTS,
    series_position=st.floats(0, 10_000),
    work_id=st.integers(0, 2**63 - 1),
    categories=st.lists(st.sampled_from(SLUGS), min_size=1, max_size=4, unique=True).map(tuple),
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(BOOKS, max_size=4)),
        st.tuples(st.just("remove"), st.lists(st.integers(1, 30), max_size=4)),
    ),
    max_size=5,
)


def bits_hold(catalogue: Catalogue, position: int, slugs: list[str]) -> bool:
    return bool(np.any(catalogue.category_bits[position] & catalogue.wanted(slugs)))


def assert_holds(catalogue: Catalogue, expected: dict[int, Book], positions: dict[int, int]) -> None:
    """Hold everything that can be asked of a catalogue against its books and their positions by id."""
    in_order = [expected[book_id] for book_id in sorted(expected)]
    assert list(catalogue.books()) == in_order
    assert (len(catalogue), catalogue.book_count) == (len(positions), len(expected))
    assert catalogue.ids.tolist() == sorted(positions, key=positions.__getitem__)
    ids = [*positions, 77]
    assert catalogue.positions(ids).tolist() == list(positions.values())
    assert catalogue.positions_of_array(np.array(ids)).tolist() == [*positions.values(), -1]
    for book_id, position in positions.items():
        assert catalogue.at(position) == expected.get(book_id)
        assert (book_id in catalogue) == (book_id in expected)
        assert bits_hold(catalogue, position, []) == (book_id in expected)
    slugs = sorted({slug for each in in_order for slug in each.categories})
    assert list(catalogue.book_counts) == slugs
    for slug in slugs:
        on_shelf = [each for each in in_order if slug in each.categories]
        assert catalogue.book_counts[slug] == len(on_shelf)
        assert list(catalogue.books(category=slug)) == on_shelf
        assert [each for each in positions if bits_hold(catalogue, positions[each], [slug])] == [
            each for each in positions if each in expected and slug in expected[each].categories
        ]
    for after in expected:
        assert [each.id for each in catalogue.books(after)] == [
            each for each in sorted(expected) if each > after
        ]


@given(st.lists(BOOKS, max_size=6), CHANGES)
def test_it_holds_what_was_put_and_not_removed_at_positions_that_never_change(books, changes):
    expected = {each.id: each for each in books}
    positions = {book_id: position for position, book_id in enumerate(sorted(expected))}
    catalogue = Catalogue(books)
    assert_holds(catalogue, expected, positions)
    for kind, what in changes:
        before = catalogue, dict(expected), dict(positions)
        if kind == "put":
            catalogue = catalogue.with_books(what)
            for each in what:
                positions.setdefault(each.id, len(positions))
                expected[each.id] = each
        else:
            catalogue = catalogue.without(what)
            for book_id in what:
                expected.pop(book_id, None)
        assert_holds(catalogue, expected, positions)
        assert_holds(*before)


def test_arrays_that_were_handed_in_or_out_cannot_be_written():
    catalogue = Catalogue([book(1), book(2)]).with_books([book(3)])
    for array in (catalogue.ids, catalogue.category_bits):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_pages_that_are_shared_are_not_written():
    pages = CataloguePages.of([book(1), book(2)])
    for array in (pages.ids, pages.category_bits):
        array.flags.writeable = False
    changed = Catalogue(pages).without([1]).with_books([book(3, "new-shelf")])
    assert [each.id for each in changed.books()] == [2, 3]
    assert [each.id for each in Catalogue(pages).books()] == [1, 2]


def test_a_shelf_without_books_is_no_category_any_more():
    catalogue = Catalogue([book(1, "mystery"), book(2, "poetry")]).without([2])
    with pytest.raises(InvalidInput, match="poetry"):
        catalogue.wanted(["poetry"])
    with pytest.raises(InvalidInput, match="poetry"):
        catalogue.books(category="poetry")
    assert bits_hold(catalogue.with_books([book(2, "poetry")]), 1, ["poetry"])


def test_a_book_that_is_not_there_is_not_found():
    catalogue = Catalogue([book(1), book(2)]).without([2])
    for missing in (2, 3):
        with pytest.raises(NotFound):
            catalogue.book(missing)


def test_more_books_are_asked_for_than_are_kept_decoded():
    catalogue = Catalogue([book(each) for each in range(1, 20_001)])
    for _ in range(2):
        assert all(catalogue.at(position).id == position + 1 for position in range(0, 20_000))
