"""The made-up readers: valid, the same every time, long-tailed, and with tastes that can be learned."""

import itertools
from collections import Counter, defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest

from service.domain.books import Book
from service.domain.interactions import READ_TYPES, Interaction, InteractionType, interaction_violations
from service.sample import sample_books, sample_interactions

BOOKS = sample_books()
END = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000
TWO_YEARS = 730 * 86_400 * 1_000_000


@pytest.fixture(scope="module")
def interactions() -> list[Interaction]:
    return list(sample_interactions(BOOKS))


def read_matrix(interactions: list[Interaction]) -> np.ndarray:
    """Return readers x books: whether the reader bought, read or rated the book."""
    matrix = np.zeros((max(each.reader_id for each in interactions), len(BOOKS)), dtype=bool)
    for each in interactions:
        if each.type in READ_TYPES:
            matrix[each.reader_id - 1, each.book_id - 1] = True
    return matrix


def test_there_are_at_least_3000_readers_and_60000_interactions(interactions):
    readers = {each.reader_id for each in interactions}
    assert readers == set(range(1, len(readers) + 1))
    assert len(readers) >= 3_000
    assert len(interactions) >= 60_000


def test_every_interaction_is_valid_and_its_id_is_its_own(interactions):
    assert [found for each in interactions for found in interaction_violations(each, now=END)] == []
    assert len({each.interaction_id for each in interactions}) == len(interactions)
    assert {each.book_id for each in interactions} <= {book.id for book in BOOKS}


def test_the_same_seed_gives_the_same_readers_and_another_seed_others():
    few = {"seed": 7, "readers": 50}
    assert list(sample_interactions(BOOKS, **few)) == list(sample_interactions(BOOKS, **few))
    assert list(sample_interactions(BOOKS, **few)) != list(sample_interactions(BOOKS, seed=8, readers=50))


def test_interactions_come_by_time_within_the_two_years(interactions):
    times = [each.occurred_at for each in interactions]
    assert times == sorted(times)
    assert times[0] >= END - TWO_YEARS
    assert times[-1] < END


def test_every_type_occurs_and_only_ratings_carry_a_figure(interactions):
    types = Counter(each.type for each in interactions)
    assert min(types[kind] for kind in InteractionType if kind <= InteractionType.RATING) > 1_000
    assert all((each.rating is not None) == (each.type == InteractionType.RATING) for each in interactions)


def test_the_steps_with_one_book_go_from_looking_to_rating(interactions):
    steps = defaultdict(list)
    for each in interactions:
        steps[each.reader_id, each.book_id].append((each.occurred_at, each.type))
    for path in steps.values():
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(path))


def test_a_series_is_read_in_order(interactions):
    first_touch: dict[tuple[int, str], dict[float, int]] = defaultdict(dict)
    for each in interactions:
        book = BOOKS[each.book_id - 1]
        if book.series_position:
            first_touch[each.reader_id, book.series].setdefault(book.series_position, each.occurred_at)
    followed = [volumes for volumes in first_touch.values() if len(volumes) > 1]
    assert len(followed) > 500
    for volumes in followed:
        times = [when for _, when in sorted(volumes.items())]
        assert times == sorted(times)


def test_nobody_takes_up_two_editions_of_a_work(interactions):
    taken = {(each.reader_id, each.book_id) for each in interactions}
    works = Counter((reader, BOOKS[book - 1].work_id) for reader, book in taken if BOOKS[book - 1].work_id)
    assert max(works.values()) == 1


def test_better_rated_books_are_more_to_the_readers_taste(interactions):
    """A reader's ratings of their most frequent category are above their other ratings."""
    rated = defaultdict(list)
    for each in interactions:
        if each.rating is not None:
            rated[each.reader_id].append((BOOKS[each.book_id - 1].categories[0], each.rating))
    differences = []
    for ratings in rated.values():
        favourite = Counter(category for category, _ in ratings).most_common(1)[0][0]
        inside = [rating for category, rating in ratings if category == favourite]
        outside = [rating for category, rating in ratings if category != favourite]
        if inside and outside:
            differences.append(np.mean(inside) - np.mean(outside))
    assert np.mean(differences) > 0.05


def test_popularity_and_histories_have_long_tails(interactions):
    matrix = read_matrix(interactions)
    by_book = np.sort(matrix.sum(axis=0))[::-1]
    by_reader = np.sort(matrix.sum(axis=1))[::-1]
    assert by_book[: len(by_book) // 10].sum() > 0.2 * by_book.sum()
    assert by_book[0] > 5 * np.median(by_book)
    assert by_reader[: len(by_reader) // 10].sum() > 0.25 * by_reader.sum()
    assert by_reader[0] > 5 * np.median(by_reader)


def test_neighbours_find_at_least_twice_what_popularity_finds(interactions):
    read = read_matrix(interactions)
    held_out = read & (np.random.default_rng(1).random(read.shape) < 0.2)
    known = read & ~held_out
    histories = known.astype(np.float32)
    together = histories.T @ histories
    readers = together.diagonal().copy()
    np.fill_diagonal(together, 0)
    cosine = together / (np.sqrt(np.outer(readers, readers)) + 10)

    def recall_at_20(scores: np.ndarray) -> float:
        best = np.argsort(-np.where(known, -np.inf, scores), axis=1)[:, :20]
        hits = np.take_along_axis(held_out, best, axis=1).sum(axis=1)
        tested = held_out.any(axis=1)
        return float(np.mean(hits[tested] / held_out.sum(axis=1)[tested]))

    popularity, neighbours = (
        recall_at_20(np.broadcast_to(readers, read.shape)),
        recall_at_20(histories @ cosine),
    )
    assert popularity > 0.05  # a baseline worth beating
    assert neighbours >= 2 * popularity
    assert neighbours < 0.6  # taste leaves room for surprise


def test_a_catalogue_of_a_few_books_is_enough():
    books = [Book(id=10 + n, title=f"Book {n}", language="en", categories=("mystery",)) for n in range(4)]
    found = list(sample_interactions(books, readers=20))
    assert {each.book_id for each in found} <= {10, 11, 12, 13}
    assert len(found) >= 20
