"""The rules of books and interactions, each refused by field, value and rule."""

from dataclasses import replace

import pytest

from service.domain.books import Book, book_violations
from service.domain.interactions import Interaction, InteractionType, interaction_violations

GOOD_BOOK = Book(1, "Ulysses", ("James Joyce",), 1922, "en", "", 0, 0, ("classics",))
NOW = 1_700_000_000_000_000
GOOD_INTERACTION = Interaction("id-1", 1, 1, InteractionType.READ, NOW)


def test_a_good_book_breaks_no_rule():
    assert book_violations(GOOD_BOOK) == []
    assert (
        book_violations(GOOD_BOOK._replace(language="pt-BR", year=-800, series="S", series_position=1.5))
        == []
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 0),
        ("id", -1),
        ("id", 2**63),
        ("title", ""),
        ("title", "  "),
        ("title", "x" * 501),
        ("title", "a\nb"),
        ("title", "a\x00b"),
        ("authors[0]", ("",)),
        ("authors[1]", ("a", "x" * 201)),
        ("authors", ("a",) * 21),
        ("year", 2101),
        ("year", -3001),
        ("language", "English!"),
        ("language", "en-" + "x" * 40),
        ("series", "x" * 201),
        ("series_position", -1),
        ("series_position", float("nan")),
        ("series_position", 10_001),
        ("work_id", -1),
        ("categories", ()),
        ("categories", tuple(f"c{n}" for n in range(21))),
        ("categories[0]", ("Ghost Stories",)),
        ("categories[0]", ("-a",)),
        ("categories[0]", ("x" * 65,)),
        ("categories[1]", ("a", "a")),
    ],
)
def test_a_book_that_breaks_a_rule_is_named_by_field(field, value):
    (violation,) = book_violations(GOOD_BOOK._replace(**{field.split("[")[0]: value}), "books[3].")
    assert violation.field == "books[3]." + field
    assert violation.description


def test_a_good_interaction_breaks_no_rule():
    assert interaction_violations(GOOD_INTERACTION, NOW) == []
    rated = replace(GOOD_INTERACTION, type=InteractionType.RATING, rating=3.5)
    assert interaction_violations(rated, NOW) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"interaction_id": ""}, "interaction_id"),
        ({"interaction_id": "x" * 65}, "interaction_id"),
        ({"interaction_id": "a b"}, "interaction_id"),
        ({"interaction_id": "é"}, "interaction_id"),
        ({"reader_id": 0}, "reader_id"),
        ({"reader_id": 2**63}, "reader_id"),
        ({"book_id": -5}, "book_id"),
        ({"rating": 3.0}, "rating"),
        ({"type": InteractionType.RATING}, "rating"),
        ({"type": InteractionType.RATING, "rating": 0.5}, "rating"),
        ({"type": InteractionType.RATING, "rating": 5.5}, "rating"),
        ({"type": InteractionType.RATING, "rating": 3.25}, "rating"),
        ({"type": InteractionType.RATING, "rating": float("nan")}, "rating"),
        ({"type": InteractionType.RATING, "rating": float("inf")}, "rating"),
        ({"occurred_at": -1}, "occurred_at"),
        ({"occurred_at": NOW + 301_000_000}, "occurred_at"),
        ({"recommendation_id": "x" * 65}, "recommendation_id"),
    ],
)
def test_an_interaction_that_breaks_a_rule_is_named_by_field(change, field):
    (violation,) = interaction_violations(replace(GOOD_INTERACTION, **change), NOW, "interactions[9].")
    assert violation.field == "interactions[9]." + field
    assert violation.description
