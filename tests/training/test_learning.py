"""What is learned: against the definitions written out in NumPy, the same on any number of threads."""

import math
from dataclasses import replace

import numpy as np
import pytest

from service.domain.interactions import InteractionLog, InteractionType
from service.models.verification import broken_rule
from service.training import TrainingError, TrainingSettings, directed_factors, train
from service.training.cells import fold
from service.training.co_reading import count_together, reader_weights
from service.training.directed_factors import solve_targets
from service.training.factors import learn_factors, solve_rows
from service.training.lists import Lists, lists_of
from service.training.sparse_linear import learn_weights
from tests.training.made_logs import log_of, random_log

ARRAYS = (
    "book_ids", "indptr", "indices", "weights", "popularity", "source_factors", "target_factors",
    "target_scales",
)  # fmt: skip
SMALL = TrainingSettings(factor_count=8)


def made_lists(**options: int) -> Lists:
    log, book_ids = random_log(**options)
    cells = fold(log, book_ids)
    return lists_of(cells.take(cells.preferences > 0), len(book_ids))


def co_reading(lists: Lists, backward: float = 0.45, candidate_count: int = 200, threads: int = 1):
    return count_together(
        lists,
        reader_weights(lists, 0.3),
        backward=backward,
        source_exponent=0.6,
        target_exponent=0.22,
        shrink=3.0,
        candidate_count=candidate_count,
        thread_count=threads,
    )


def by_loops(lists: Lists, backward: float) -> tuple[np.ndarray, np.ndarray]:
    """Return G and R, R[source, target]."""
    count = lists.book_count
    together, directed = np.zeros((count, count)), np.zeros((count, count))
    lengths = lists.lengths()
    for reader in range(lists.reader_count):
        weight = (lengths[reader] / lengths.mean()) ** -0.3
        mine = range(lists.starts[reader], lists.starts[reader + 1])
        for first in mine:
            for second in mine:
                gain = weight * lists.strengths[first] * lists.strengths[second]
                together[lists.books[first], lists.books[second]] += gain
                directed[lists.books[first], lists.books[second]] += gain * (
                    1 if first < second else backward
                )
    return together, directed


@pytest.mark.parametrize("candidate_count", [200, 5])
def test_counts_and_candidates_are_those_of_a_naive_loop(candidate_count: int) -> None:
    lists = made_lists()
    counted = co_reading(lists, candidate_count=candidate_count)
    together, directed = by_loops(lists, 0.45)
    assert counted.diagonal == pytest.approx(np.diag(together), rel=1e-5)
    half = np.zeros_like(together)
    for book in range(lists.book_count):
        span = slice(counted.indptr[book], counted.indptr[book + 1])
        half[book, counted.indices[span]] = counted.values[span]
    assert half + half.T + np.diag(np.diag(together)) == pytest.approx(together, rel=1e-4)
    degrees = np.diag(together)
    for book in range(lists.book_count):
        span = slice(counted.starts[book], counted.starts[book + 1])
        scores = directed[:, book] / (degrees**0.6 * degrees[book] ** 0.22 + 3)
        scores[book] = 0
        expected = np.sort(np.argsort(-scores, kind="stable")[: min(candidate_count, (scores > 0).sum())])
        assert counted.candidates[span].tolist() == expected.tolist()
        assert counted.directed[span] == pytest.approx(directed[expected, book], rel=1e-4)


def test_weights_are_the_least_of_the_objective() -> None:
    lists = made_lists()
    counted = co_reading(lists)
    weights = learn_weights(counted, l2=5.0, l1=0.3, sweeps=500, thread_count=1)
    together, _ = by_loops(lists, 0.45)
    assert (weights >= 0).all()
    assert (weights > 0).any()
    for book in range(lists.book_count):
        span = slice(counted.starts[book], counted.starts[book + 1])
        chosen, mine = counted.candidates[span], weights[span].astype(np.float64)
        slope = together[np.ix_(chosen, chosen)] @ mine - counted.directed[span] + 5.0 * mine + 0.3
        # Karush-Kuhn-Tucker: flat where a weight is above 0, rising where it is 0.
        assert slope[mine > 0] == pytest.approx(0, abs=2e-3)
        assert (slope[mine == 0] > -2e-3).all()


@pytest.mark.parametrize("size", [4, 40])  # rows longer than the factors, and shorter
def test_rows_are_solved_exactly(size: int) -> None:
    lists = made_lists()
    others = np.random.default_rng(0).standard_normal((lists.book_count, size)).astype(np.float32)
    found, whitened = solve_rows(
        lists.starts, lists.books, lists.strengths, others, unobserved=0.1, l2=1.5, thread_count=1
    )
    inverse = np.linalg.inv(0.1 * others.T.astype(np.float64) @ others + 1.5 * np.eye(size))
    assert whitened @ whitened.T == pytest.approx(others @ inverse @ others.T, abs=1e-4)
    for reader in range(lists.reader_count):
        mine = slice(lists.starts[reader], lists.starts[reader + 1])
        factors, confidence = others[lists.books[mine]].astype(np.float64), lists.strengths[mine]
        matrix = np.linalg.inv(inverse) + factors.T @ (confidence[:, None] * factors)
        assert found[reader] == pytest.approx(np.linalg.solve(matrix, factors.T @ confidence), abs=1e-3)


def test_targets_are_solved_against_what_came_before_them() -> None:
    lists = made_lists()
    sources = learn_factors(
        lists, factor_count=8, iterations=2, unobserved=0.01, l2=1.5, seed=0, thread_count=1
    )
    cuts = (0.3, 0.6)
    targets = solve_targets(
        lists, sources, cuts=cuts, seed=0, fold_in_exponent=1.0, longest_history=6,
        unobserved=0.02, l2=1.0, thread_count=1,
    )  # fmt: skip
    folds, wanted = [], []
    for cut in cuts:
        for reader in np.flatnonzero(lists.lengths() > 1):
            mine = np.arange(lists.starts[reader], lists.starts[reader + 1])
            place = min(max(round(len(mine) * cut), 1), max(len(mine) - 1, 1))
            head = mine[:place][-6:]
            e = sources[lists.books[head]].astype(np.float64)
            penalty = np.arange(len(head), 0, -1) / lists.strengths[head]
            folds.append(e.T @ np.linalg.solve(e @ e.T + np.diag(penalty), np.ones(len(head))))
            wanted.append({lists.books[cell]: lists.strengths[cell] for cell in mine[place:]})
    folds = np.array(folds)
    for book in range(lists.book_count):
        rows = [row for row, each in enumerate(wanted) if book in each]
        confidence = np.array([wanted[row][book] for row in rows])
        matrix = 0.02 * folds.T @ folds + np.eye(8) + folds[rows].T @ (confidence[:, None] * folds[rows])
        expected = np.linalg.solve(matrix, folds[rows].T @ confidence) if rows else np.zeros(8)
        assert targets[book] == pytest.approx(expected, abs=1e-3)


def test_of_many_lists_each_cut_takes_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directed_factors, "MOST_FOLDS", 20)
    asked: list[int] = []
    whole = directed_factors.fold_in

    def counted(starts: np.ndarray, *arguments: object, **options: object) -> np.ndarray:
        asked.append(len(starts))
        return whole(starts, *arguments, **options)

    monkeypatch.setattr(directed_factors, "fold_in", counted)
    log, book_ids = random_log()
    train(log, book_ids, settings=replace(SMALL, cuts=(0.3, 0.6)))
    assert asked == [20]


@pytest.mark.parametrize("settings", [TrainingSettings(), TrainingSettings.without_order()])
def test_the_same_data_give_the_same_bytes_on_one_thread_and_on_several(settings: TrainingSettings) -> None:
    log, book_ids = random_log(readers=400, books=300, interactions=9_000)
    first, *others = (train(log, book_ids, settings=settings, thread_count=count) for count in (1, 1, 2, 3))
    for other in others:
        for name in ARRAYS:
            assert getattr(other, name).tobytes() == getattr(first, name).tobytes()


def test_another_seed_gives_other_factors() -> None:
    log, book_ids = random_log()
    first, second = (train(log, book_ids, settings=replace(SMALL, seed=seed)) for seed in (0, 1))
    assert not np.array_equal(first.source_factors, second.source_factors)
    assert np.array_equal(first.weights, second.weights)


def test_without_order_a_shuffled_history_gives_the_same_neighbours() -> None:
    log, book_ids = random_log()
    reads = log.take(log.types == InteractionType.READ)  # one event a book: order then is all that times tell
    _, once = np.unique(reads.reader_ids * 10_000 + reads.book_ids, return_index=True)
    reads = reads.take(np.sort(once))
    shuffled = replace(reads, occurred_at=reads.occurred_at[::-1].copy())
    sets = replace(TrainingSettings.without_order(), factor_count=8)
    for settings, alike in ((sets, True), (SMALL, False)):
        first, second = (train(each, book_ids, settings=settings) for each in (reads, shuffled))
        same = first.indices.tolist() == second.indices.tolist() and np.allclose(
            first.weights, second.weights, rtol=1e-3
        )
        assert same == alike
    assert not TrainingSettings.without_order().ranking().ordered


def test_what_follows_is_learned_in_the_direction_of_reading() -> None:
    log = log_of((reader, book) for reader in range(1, 40) for book in (1, 2))
    model = train(log, np.array([1, 2]), settings=SMALL)
    forward = model.weights[model.indptr[0] : model.indptr[1]]
    backward = model.weights[model.indptr[1] : model.indptr[2]]
    assert forward.sum() > 2 * backward.sum()


def hundred_thousand() -> InteractionLog:
    many = np.arange(100_000)
    return InteractionLog(
        np.append(np.full(100_000, 7), [8, 8, 9, 9]),
        np.append(many % 2_000 + 1, [1, 2, 1, 2]),
        np.full(100_004, InteractionType.READ, dtype=np.uint8),
        np.full(100_004, np.nan, dtype=np.float32),
        np.arange(100_004),
    )


@pytest.mark.parametrize(
    ("log", "book_count"),
    [
        (log_of([(1, 1)]), 1),
        (log_of([(1, 1), (2, 1), (3, 1)]), 1),
        (log_of((reader, book) for reader in range(20) for book in range(1, 6)), 5),
        (log_of([(1, 1), (1, 1), (1, 2), (1, 2), (2, 2), (2, 1)]), 4),
        (log_of([(1, 1), (1, 999), (2, 999), (2, 2)]), 3),
        (log_of([(1, 1, InteractionType.RATING, math.nan), (1, 2), (2, 1), (2, 2)]), 2),
        (hundred_thousand(), 2_000),
    ],
    ids=["one", "single book", "all alike", "repeats", "unknown books", "NaN", "100,000 by one reader"],
)
@pytest.mark.parametrize("settings", [SMALL, replace(TrainingSettings.without_order(), factor_count=8)])
def test_odd_data_give_a_sound_model(
    log: InteractionLog, book_count: int, settings: TrainingSettings
) -> None:
    model = train(log, np.arange(1, book_count + 1), settings=settings)
    assert broken_rule({name: getattr(model, name) for name in ARRAYS}) is None


def test_nothing_to_learn_from_is_said() -> None:
    for log, book_ids, message in (
        (log_of([(1, 1)]), [], "catalogue: holds no books"),
        (log_of([]), [1], "interactions: there are none"),
        (log_of([(1, 5)]), [1], "interactions: none of 1 is with a book of the catalogue"),
        (log_of([(1, 1, InteractionType.RATING, 1.0)]), [1], "speaks for its book"),
        (log_of([(1, 1)]), [2, 1], "not strictly ascending"),
    ):
        with pytest.raises(TrainingError, match=message):
            train(log, np.array(book_ids, dtype=np.int64))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("l2", 0.0),
        ("l1", -1.0),
        ("shrink", math.nan),
        ("sweeps", 0),
        ("walk_weight", -0.1),
        ("next_window", 0),
        ("next_decay", 1.5),
        ("lateness_weight", math.inf),
        ("cuts", (0.5, 1.0)),
        ("rerank_weight", 2),
    ],
)
def test_settings_that_cannot_be_learned_by_are_refused(name: str, value: object) -> None:
    with pytest.raises(TrainingError, match=f"{name}: "):
        TrainingSettings(**{name: value})
