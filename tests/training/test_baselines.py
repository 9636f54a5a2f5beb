"""What the model is compared with, the slices and intervals of the figures, and the chart."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from service.domain.books import Book
from service.training import (
    TrainingSettings,
    chart,
    compare,
    evaluate_ranker,
    served,
    split,
    train,
    trial_of,
)
from service.training.baselines import baselines
from service.training.figures import interval
from tests.training.made_logs import history_by_loops, log_of, random_log

SMALL = TrainingSettings(factor_count=8)


def test_every_baseline_is_in_the_table_and_none_recommends_what_was_read() -> None:
    log, book_ids = random_log()
    found = compare(log, book_ids, settings=SMALL, others=True)
    assert [each.method for each in found] == [
        "popularity",
        "item-kNN",
        "EASE",
        "iALS",
        "iALS (implicit)",
        "sparse linear, re-ranked by factors, any volume and edition",
        "sparse linear, re-ranked by factors",
    ]
    assert len({each.reader_count for each in found}) == 1
    trial = trial_of(book_ids, log, log_of([(1_000_003, int(book)) for book in book_ids]))
    for name, learned in baselines(trial, SMALL).items():
        shown = learned()(trial)
        for reader, row in zip(trial.reader_ids.tolist(), shown, strict=True):
            positions = row[row >= 0]
            assert not set(book_ids[positions].tolist()) & history_by_loops(log, reader).keys(), name
            assert len(set(positions.tolist())) == len(positions)


def test_baselines_find_what_is_always_read_together() -> None:
    pairs = [(reader, book) for reader in range(1, 60) for book in (reader % 3 * 2 + 1, reader % 3 * 2 + 2)]
    known = log_of([*pairs, (99, 3)])
    trial = trial_of(np.arange(1, 7), known, log_of([(99, 4)]))
    for name, learned in baselines(trial, SMALL).items():
        assert learned()(trial)[0, 0] == 3, name  # the position of book 4


def test_large_catalogues_are_not_given_to_ease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.training.baselines.MOST_BOOKS_OF_EASE", 10)
    log, book_ids = random_log()
    trial = trial_of(book_ids, log, log_of([(5, int(book_ids[0]))]))
    assert list(baselines(trial, SMALL)) == ["item-kNN", "iALS", "iALS (implicit)"]


def test_where_implicit_is_missing_its_row_alone_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit", None)
    log, book_ids = random_log()
    trial = trial_of(book_ids, log, log_of([(5, int(book_ids[0]))]))
    assert list(baselines(trial, SMALL)) == ["item-kNN", "EASE", "iALS"]


def test_the_row_of_implicit_is_what_its_own_recommend_says() -> None:
    log, book_ids = random_log(readers=40, books=50)
    left, held_out = split(log, 0.3)
    trial = trial_of(book_ids, left, held_out)
    first, again = (baselines(trial, SMALL)["iALS (implicit)"]()(trial) for _ in range(2))
    assert np.array_equal(first, again)

    # By hand: their preferences, relative to the mean, and what they neither liked nor disliked, best first.
    wishes = np.zeros((40, len(book_ids)), dtype=np.float32)
    known = np.zeros(wishes.shape, dtype=bool)
    readers = np.unique(left.reader_ids).tolist()
    for row, reader in enumerate(readers):
        for book, preference in history_by_loops(left, reader).items():
            place = np.searchsorted(book_ids, book)
            wishes[row, place], known[row, place] = max(preference, 0), True
    liked = csr_matrix(wishes / wishes[wishes > 0].mean())
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=8, alpha=100, regularization=150, iterations=15, random_state=0, num_threads=1
        )
        model.fit(liked, show_progress=False)
    for reader, row in zip(trial.reader_ids.tolist(), first, strict=True):
        number = readers.index(reader)
        ids, scores = model.recommend(
            0, liked[number], N=50, recalculate_user=True, filter_already_liked_items=False
        )
        best = [
            book for book, score in zip(ids, scores, strict=True) if not known[number, book] and score > 0
        ]
        assert row[row >= 0].tolist() == best[:20]

    # And its figures, from the books found.
    figures = evaluate_ranker("iALS (implicit)", lambda trial, progress=None: first, trial)
    recalls = []
    for reader, row in zip(trial.reader_ids.tolist(), first, strict=True):
        before, after = history_by_loops(left, reader), history_by_loops(log, reader)
        wanted = {book for book, preference in after.items() if preference > 0} - before.keys()
        recalls.append(len(wanted & set(book_ids[row[row >= 0]].tolist())) / len(wanted))
    assert figures.recall == pytest.approx(np.mean(recalls))


def test_the_model_by_itself_holds_no_volume_back() -> None:
    pairs = [(reader, book) for reader in range(1, 60) for book in (1, 2, 3, 4)]
    books = [Book(number, str(number), series="Dupin", series_position=number) for number in (1, 2, 3)]
    trial = trial_of(
        np.arange(1, 5), log_of([*pairs, (99, 4)]), log_of([(99, 3)]), books=[*books, Book(4, "4")]
    )
    model = train(trial.known, trial.book_ids, settings=SMALL)
    listed, alone = (served(model, whole=whole)(trial)[0].tolist() for whole in (False, True))
    assert [place for place in listed if place >= 0] == [0]
    assert set(alone[:3]) == {0, 1, 2}


def test_slices_are_those_of_their_readers_and_books() -> None:
    log, book_ids = random_log(readers=30, books=60, interactions=500)
    (*_, learned) = compare(log, book_ids, settings=SMALL)
    assert 0 <= learned.cold_recall <= 1
    assert 0 <= learned.tail_recall <= 1
    assert 0 < learned.cold_reader_count < learned.reader_count
    assert learned.recall_interval[0] <= learned.recall <= learned.recall_interval[1]
    assert learned.ndcg_interval[0] <= learned.ndcg <= learned.ndcg_interval[1]
    assert learned.novelty > 0


def test_an_interval_is_about_two_standard_errors_on_either_side() -> None:
    values = np.random.default_rng(0).random(4_000)
    low, high = interval(values)
    error = values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert interval(values) == (low, high)


def test_the_chart_is_a_document_with_a_bar_for_each_method_and_figure() -> None:
    log, book_ids = random_log()
    found = compare(log, book_ids, settings=SMALL)
    root = ElementTree.fromstring(chart(found, "a <test> & more"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 1 + 2 * len(found)
    texts = [each.text for each in root.findall(f"{space}text")]
    assert "a <test> & more" in texts
    assert f"{found[-1].recall:.4f}" in texts


def test_as_json_a_slice_without_readers_is_null() -> None:
    log = log_of((reader, book) for reader in range(1, 20) for book in range(1, 21))
    (_, learned) = compare(log, np.arange(1, 21), settings=SMALL)
    assert learned.as_json()["cold_recall"] is None
    assert train(log, np.arange(1, 21), settings=SMALL).reader_count == 19
