"""Learning neighbours: the formula, its determinism and its bounds."""

from dataclasses import replace

import numpy as np
import pytest

from service.domain.interactions import InteractionLog, InteractionType
from service.domain.model import ItemModel
from service.training import TrainingError, TrainingSettings, data_digest, train
from service.training import item_neighbours as learning
from tests.training.made_logs import history_by_loops, log_of, random_log

ARRAYS = ("book_ids", "indptr", "indices", "weights", "popularity")


def same_arrays(one: ItemModel, other: ItemModel) -> bool:
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ARRAYS)


def neighbours_of(model: ItemModel, book_id: int) -> dict[int, float]:
    row = int(np.searchsorted(model.book_ids, book_id))
    span = slice(model.indptr[row], model.indptr[row + 1])
    return dict(zip(model.book_ids[model.indices[span]].tolist(), model.weights[span].tolist(), strict=True))


def weights_by_loops(log: InteractionLog, settings: TrainingSettings) -> dict[tuple[int, int], float]:
    """Compute the formula of `train` word by word."""
    strongest = {}
    for reader in np.unique(log.reader_ids).tolist():
        books = {book: liked for book, liked in history_by_loops(log, reader).items() if liked > 0}
        if books:
            strongest[reader] = books
    cells = [preference for books in strongest.values() for preference in books.values()]
    mean_preference, mean_length = sum(cells) / len(cells), len(cells) / len(strongest)
    together: dict[tuple[int, int], float] = {}
    for books in strongest.values():
        weight = (len(books) / mean_length) ** -settings.history_exponent
        for one, liked in books.items():
            for other, also_liked in books.items():
                gain = weight * liked * also_liked / mean_preference**2
                together[one, other] = together.get((one, other), 0.0) + gain
    return {
        (one, other): count
        / (
            together[one, one] ** settings.source_exponent
            * together[other, other] ** settings.target_exponent
            + settings.shrink
        )
        for (one, other), count in together.items()
        if one != other
    }


@pytest.mark.parametrize("settings", [TrainingSettings(), TrainingSettings(0.5, 0.5, 0.0, 100, 0.0)])
def test_weights_are_those_of_a_naive_loop(settings: TrainingSettings) -> None:
    log, book_ids = random_log()
    model = train(log, book_ids, settings=settings)
    learned = {
        (source, target): weight
        for source in book_ids.tolist()
        for target, weight in neighbours_of(model, source).items()
    }
    assert learned == pytest.approx(weights_by_loops(log, settings), rel=1e-5)


def test_blocks_of_books_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    log, book_ids = random_log()
    whole = train(log, book_ids)
    monkeypatch.setattr(learning, "BLOCK_PRODUCTS", 50)
    assert same_arrays(train(log, book_ids), whole)


def test_rows_are_by_descending_weight_then_position() -> None:
    log, book_ids = random_log(interactions=300)
    model = train(log, book_ids)
    rows = np.repeat(np.arange(len(book_ids)), np.diff(model.indptr))
    order = np.lexsort((model.indices, -model.weights, rows))
    assert np.array_equal(order, np.arange(len(order)))


def test_only_the_strongest_neighbours_are_kept_and_ties_go_to_the_first_position() -> None:
    log = log_of((reader, book) for reader in range(1, 4) for book in (10, 20, 30, 40, 50))
    model = train(log, np.array([10, 20, 30, 40, 50]), settings=TrainingSettings(neighbour_count=2))
    assert list(neighbours_of(model, 10)) == [20, 30]
    assert list(neighbours_of(model, 50)) == [10, 20]
    full = train(log, np.array([10, 20, 30, 40, 50]))
    assert len(full.indices) == 5 * 4


def test_the_same_data_and_settings_give_the_same_bytes() -> None:
    log, book_ids = random_log()
    assert same_arrays(train(log, book_ids), train(log, book_ids))


def test_the_order_of_storing_does_not_matter() -> None:
    log, book_ids = random_log()
    shuffled = log.take(np.random.default_rng(1).permutation(len(log)))
    assert same_arrays(train(log, book_ids), train(shuffled, book_ids))


def test_repeated_interactions_count_once_by_the_strongest() -> None:
    once = log_of([(1, 5), (1, 6), (2, 6)])
    often = log_of([(1, 5), (1, 5), (1, 5, InteractionType.VIEW), (1, 6), (2, 6), (2, 6)])
    ids = np.array([5, 6])
    assert same_arrays(train(once, ids), train(often, ids))
    assert train(often, ids).interaction_count == 6


def test_popularity_is_the_preference_weighted_count_of_readers() -> None:
    log = log_of([(1, 5), (2, 5, InteractionType.VIEW), (3, 6, InteractionType.RATING, 3.0), (4, 6), (4, 6)])
    assert train(log, np.array([5, 6, 7])).popularity.tolist() == pytest.approx([1.2, 1.5, 0.0])


@pytest.mark.parametrize(
    "undone",
    [
        [(1, 7), (1, 7, InteractionType.REMOVE)],
        [(1, 7, InteractionType.NOT_INTERESTED)],
        [(1, 7), (1, 7, InteractionType.NOT_INTERESTED)],
        [(1, 7), (1, 7, InteractionType.RATING, 2.0)],
    ],
    ids=["removed", "not wanted", "not wanted any more", "rated below the mean"],
)
def test_what_was_taken_back_or_disliked_teaches_nothing(undone: list[tuple]) -> None:
    liked = [(1, 5, InteractionType.RATING, 4.0), (1, 6), (2, 5), (2, 6), (2, 7), (3, 6), (3, 7)]
    ids = np.array([5, 6, 7])
    assert same_arrays(train(log_of(liked + undone), ids), train(log_of(liked), ids))


def test_disliked_books_teach_nothing_but_their_reader_counts() -> None:
    log = log_of([(1, 5), (1, 6), (2, 5), (2, 7, InteractionType.RATING, 1.0)])
    model = train(log, np.array([5, 6, 7]))
    assert neighbours_of(model, 5).keys() == {6}
    assert neighbours_of(model, 7) == {}
    assert (model.reader_count, model.interaction_count) == (2, 4)


def test_ratings_without_a_figure_count_as_reads() -> None:
    rated = log_of([(1, 5, InteractionType.RATING), (1, 6)])
    assert same_arrays(train(rated, np.array([5, 6])), train(log_of([(1, 5), (1, 6)]), np.array([5, 6])))


def test_infinite_ratings_give_finite_weights() -> None:
    log, book_ids = random_log()
    log = replace(log, ratings=np.where(np.arange(len(log)) % 2, np.inf, -np.inf).astype(np.float32))
    model = train(log, book_ids)
    assert np.isfinite(model.weights).all()
    assert np.isfinite(model.popularity).all()


def test_a_shop_of_views_alone_learns_as_one_of_reads_does() -> None:
    log, book_ids = random_log()
    reads = replace(log, types=np.full(len(log), InteractionType.READ, dtype=np.uint8))
    views = replace(log, types=np.full(len(log), InteractionType.VIEW, dtype=np.uint8))
    expected, model = train(reads, book_ids), train(views, book_ids)
    assert np.allclose(model.weights, expected.weights, rtol=1e-5)


def test_unknown_books_are_left_out() -> None:
    model = train(log_of([(1, 5), (1, 6), (1, 999), (2, 998)]), np.array([5, 6]))
    assert model.interaction_count == 2
    assert model.reader_count == 1
    assert neighbours_of(model, 5).keys() == {6}


@pytest.mark.parametrize(
    ("rows", "book_ids"),
    [
        ([(1, 5)], [5]),
        ([(1, 5)], [5, 6, 7]),
        ([(1, 5), (2, 6)], [5, 6]),
        ([(1, book) for book in range(1, 30)], list(range(1, 30))),
        ([(reader, book) for reader in range(1, 30) for book in (1, 2, 3)], [1, 2, 3]),
        ([(2**62, 2**62)], [2**62]),
    ],
    ids=["one book", "books never read", "nothing shared", "one reader", "all alike", "largest ids"],
)
def test_scant_data_gives_a_sane_model(rows: list, book_ids: list[int]) -> None:
    model = train(log_of(rows), np.array(book_ids))
    assert model.book_ids.tolist() == book_ids
    assert model.indptr[0] == 0
    assert model.indptr[-1] == len(model.indices) == len(model.weights)
    assert np.isfinite(model.weights).all()
    assert (model.weights > 0).all()
    assert model.popularity.sum() > 0


def test_a_reader_with_100000_interactions_is_cut_to_the_latest_books() -> None:
    book_ids = np.arange(1, 100_001)
    log = log_of([(1, 99_999), (1, 100_000)])
    count = 100_000
    greedy = InteractionLog(
        np.append(np.full(count, 7), log.reader_ids),
        np.append(book_ids, log.book_ids),
        np.full(count + 2, InteractionType.READ, dtype=np.uint8),
        np.full(count + 2, np.nan, dtype=np.float32),
        np.arange(count + 2, dtype=np.int64),
    )
    model = train(greedy, book_ids, settings=TrainingSettings(longest_history=50, neighbour_count=100))
    spoken_for = np.flatnonzero(np.diff(model.indptr))
    assert book_ids[spoken_for].tolist() == list(range(99_951, 100_001))
    assert model.popularity.sum() == count + 2


def test_the_latest_books_of_a_history_are_those_by_time_not_by_storing() -> None:
    log = log_of([(1, book) for book in (1, 2, 3, 4)])
    backwards = replace(log, occurred_at=log.occurred_at[::-1].copy())
    model = train(backwards, np.array([1, 2, 3, 4]), settings=TrainingSettings(longest_history=2))
    assert neighbours_of(model, 1).keys() == {2}
    assert neighbours_of(model, 4) == {}


@pytest.mark.parametrize(
    ("rows", "book_ids", "message"),
    [
        ([], [5], "interactions: there are none to learn from"),
        ([(1, 5)], [], "catalogue: holds no books"),
        ([(1, 5), (1, 7)], [6], "interactions: none of 2 is with a book of the catalogue"),
        ([(1, 5, InteractionType.RATING, 1.0)], [5], "interactions: none of 1 speaks for its book"),
        ([(1, 5)], [6, 5], "book_ids: are not strictly ascending"),
        ([(1, 5)], [5, 5], "book_ids: are not strictly ascending"),
        ([(1, 5, 9)], [5], "interactions: 9 is not a type"),
    ],
)
def test_nothing_to_learn_from_is_said(rows: list, book_ids: list[int], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(log_of(rows), np.array(book_ids, dtype=np.int64))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shrink", -1.0),
        ("shrink", float("nan")),
        ("source_exponent", float("inf")),
        ("neighbour_count", 0),
        ("longest_history", 0),
    ],
)
def test_senseless_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(TrainingError, match=f"{name}: {value} is not"):
        TrainingSettings(**{name: value})


def test_progress_names_stages_and_runs_from_0_to_1() -> None:
    reports: list[tuple[str, float]] = []
    log, book_ids = random_log()
    train(log, book_ids, progress=lambda stage, done: reports.append((stage, done)))
    stages = list(dict.fromkeys(stage for stage, _ in reports))
    assert stages == ["reading interactions", "finding neighbours"]
    for stage in stages:
        done = [each for name, each in reports if name == stage]
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0.0, 1.0)


def test_the_data_digest_follows_every_column_and_the_catalogue() -> None:
    log, book_ids = random_log()
    digests = {data_digest(log, book_ids), data_digest(log, book_ids[1:])}
    for name in ("reader_ids", "book_ids", "types", "ratings", "occurred_at"):
        changed = getattr(log, name).copy()
        changed[0] = 1 if changed[0] != 1 else 2
        digests.add(data_digest(replace(log, **{name: changed}), book_ids))
    assert len(digests) == 7
    assert data_digest(log, book_ids) in digests
