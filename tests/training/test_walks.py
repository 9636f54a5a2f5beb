"""Second steps and next reads: against the definition written out in loops."""

from dataclasses import replace

import numpy as np
import pytest

from service.training import TrainingSettings, train
from service.training.cells import fold
from service.training.lists import Lists, lists_of
from service.training.walks import Neighbours, extend
from tests.training.made_logs import log_of, random_log


def made_lists() -> Lists:
    log, book_ids = random_log()
    cells = fold(log, book_ids)
    return lists_of(cells.take(cells.preferences > 0), len(book_ids))


def random_neighbours(count: int) -> tuple[Neighbours, np.ndarray]:
    random = np.random.default_rng(1)
    matrix = np.where(random.random((count, count)) < 0.2, random.random((count, count)), 0)
    matrix[3] = 0  # a book without neighbours
    np.fill_diagonal(matrix, 0)
    rows, columns = np.nonzero(matrix)
    starts = np.append(0, np.cumsum(np.bincount(rows, minlength=count)))
    return Neighbours(starts, columns.astype(np.int32), matrix[rows, columns].astype(np.float32)), matrix


def by_loops(
    lists: Lists, matrix: np.ndarray, factors: np.ndarray, walk: float, following: float
) -> np.ndarray:
    sums = matrix.sum(axis=1, keepdims=True)
    total = matrix + walk * matrix @ np.divide(matrix, sums, out=np.zeros_like(matrix), where=sums > 0)
    nexts, degrees = np.zeros_like(matrix), np.zeros(len(matrix))
    for reader in range(lists.reader_count):
        mine = range(lists.starts[reader], lists.starts[reader + 1])
        for first in mine:
            degrees[lists.books[first]] += lists.strengths[first] ** 2
            for second in mine:
                if 1 <= second - first <= 2:
                    gain = 0.5 ** (second - first) * lists.strengths[first] * lists.strengths[second]
                    nexts[lists.books[first], lists.books[second]] += gain
    roots = np.sqrt(np.maximum(degrees, 1e-9))
    total += following * factors * nexts / np.outer(roots, roots)
    np.fill_diagonal(total, 0)
    return total


@pytest.mark.parametrize(("walk", "following"), [(2.0, 0.3), (2.0, 0.0), (0.0, 0.3)])
@pytest.mark.parametrize("neighbour_count", [5, 100])
def test_neighbours_are_extended_as_defined(walk: float, following: float, neighbour_count: int) -> None:
    lists = made_lists()
    learned, matrix = random_neighbours(lists.book_count)
    factors = np.random.default_rng(2).uniform(0.5, 2, lists.book_count).astype(np.float32)
    found = extend(
        learned, lists, factors, walk_weight=walk, next_weight=following, next_window=2, next_decay=0.5,
        neighbour_count=neighbour_count, thread_count=2,
    )  # fmt: skip
    expected = by_loops(lists, matrix, factors, walk, following)
    for book, row in enumerate(expected):
        span = slice(found.indptr[book], found.indptr[book + 1])
        best = np.sort(np.argsort(-row, kind="stable")[: min(neighbour_count, (row > 0).sum())])
        assert found.indices[span].tolist() == best.tolist()
        assert found.weights[span] == pytest.approx(row[best], rel=1e-4)


def test_with_nothing_to_add_neighbours_stay_as_they_were_learned() -> None:
    lists = made_lists()
    learned, _ = random_neighbours(lists.book_count)
    assert learned is extend(
        learned, lists, np.ones(lists.book_count, dtype=np.float32), walk_weight=0.0, next_weight=0.0,
        next_window=3, next_decay=0.7, neighbour_count=1, thread_count=1,
    )  # fmt: skip


def test_a_book_two_steps_away_is_spoken_for_though_nobody_read_both() -> None:
    pairs = [(reader, book) for reader in range(1, 30) for book in ((1, 2) if reader % 2 else (2, 3))]
    settings = TrainingSettings(factor_count=0)
    for walk_weight, reached in ((0.0, False), (2.0, True)):
        model = train(log_of(pairs), np.array([1, 2, 3]), settings=replace(settings, walk_weight=walk_weight))
        assert (2 in model.indices[model.indptr[0] : model.indptr[1]]) == reached


def test_lateness_is_the_mean_place_in_lists_and_near_the_middle_for_few() -> None:
    pairs = [(reader, book) for reader in range(1, 96) for book in (1, 2, 3, 4)]
    log = log_of([*pairs, (99, 5), (99, 6)])
    cells = fold(log, np.arange(1, 7))
    late = lists_of(cells, 6).lateness()
    assert late[:4] == pytest.approx(np.array([-0.375, -0.125, 0.125, 0.375]) * 0.95)
    assert late[4:] == pytest.approx(np.array([-0.25, 0.25]) / 6)


def test_of_two_books_alike_the_one_that_is_read_late_scores_higher() -> None:
    # Books 2 and 3 are read as often and with the same others: 2 always before 4 and 5, 3 always behind.
    log = log_of((reader, book) for reader in range(60) for book in ((2, 4, 5) if reader % 2 else (4, 5, 3)))
    settings = replace(TrainingSettings.without_order(), factor_count=0)
    plain, late = (
        train(log, np.arange(2, 6), settings=replace(settings, lateness_weight=weight))
        for weight in (0.0, 1.0)
    )
    ratio = late.weights / plain.weights
    assert (ratio[plain.indices == 0] < 1).all()
    assert (ratio[plain.indices == 1] > 1).all()
