"""Holding interactions out, and the figures that a trained model carries."""

from pathlib import Path

import numpy as np
import pytest

from service.domain.interactions import InteractionLog
from service.models import ModelStore
from service.sample import sample_books, sample_interactions
from service.training import TrainingError, compare, data_digest, split, train, train_with_holdout
from tests.training.made_logs import log_of, random_log

AMAZON_BOOK = Path(__file__).parents[3] / "shared/data/amazon-book/train.txt"


def pairs(log: InteractionLog) -> set[tuple[int, int]]:
    return set(zip(log.reader_ids.tolist(), log.book_ids.tolist(), strict=True))


def test_a_split_parts_each_readers_books_without_overlap_or_loss() -> None:
    log, _ = random_log()
    left, held_out = split(log, 0.2)
    assert len(left) + len(held_out) == len(log)
    assert not pairs(left) & pairs(held_out)
    for reader_id in np.unique(log.reader_ids):
        books = len(np.unique(log.book_ids[log.reader_ids == reader_id]))
        held = len(np.unique(held_out.book_ids[held_out.reader_ids == reader_id]))
        assert held == books // 5


def test_a_split_follows_the_seed_and_not_the_order_of_storing() -> None:
    log, _ = random_log()
    shuffled = log.take(np.random.default_rng(1).permutation(len(log)))
    assert pairs(split(log, seed=3)[1]) == pairs(split(shuffled, seed=3)[1])
    assert pairs(split(log, seed=3)[1]) != pairs(split(log, seed=4)[1])


def test_an_empty_log_splits_into_empty_parts() -> None:
    assert [len(part) for part in split(log_of([]))] == [0, 0]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_that_holds_out_nothing_or_all_is_refused(fraction: float) -> None:
    with pytest.raises(TrainingError, match="fraction"):
        split(log_of([(1, 1)]), fraction)


def test_too_little_to_hold_out_gives_a_model_without_figures() -> None:
    model = train_with_holdout(log_of([(1, 5), (1, 6), (2, 6)]), np.array([5, 6]))
    assert model.metrics == {}
    assert len(model.indices) == 2


def test_nothing_to_learn_from_is_said_by_its_own_name() -> None:
    with pytest.raises(TrainingError, match="there are none to learn from"):
        train_with_holdout(log_of([]), np.array([5]))


def test_every_reader_alike_is_evaluated_without_a_crash() -> None:
    log = log_of((reader, book) for reader in range(1, 20) for book in range(1, 11))
    model = train_with_holdout(log, np.arange(1, 11))
    assert model.metrics["recall@20"] == 1.0


def test_the_model_is_learned_from_everything_though_judged_on_a_part() -> None:
    log, book_ids = random_log()
    model, expected = train_with_holdout(log, book_ids), train(log, book_ids)
    assert np.array_equal(model.weights, expected.weights)
    assert model.interaction_count == len(log)
    assert model.metrics["evaluated_readers"] > 0


def test_progress_names_each_stage_of_both_trainings() -> None:
    log, book_ids = random_log()
    stages: dict[str, None] = {}
    train_with_holdout(log, book_ids, progress=lambda stage, done: stages.setdefault(stage))
    assert list(stages) == [
        "reading interactions (without what is held out)",
        "finding neighbours (without what is held out)",
        "evaluating popularity",
        "evaluating item-neighbours",
        "reading interactions",
        "finding neighbours",
    ]


def test_on_the_sample_shop_recall_is_at_least_twice_popularitys(tmp_path: Path) -> None:
    books = sample_books()
    log = InteractionLog.of(list(sample_interactions(books)))
    book_ids = np.array([book.id for book in books])
    model = train_with_holdout(log, book_ids)
    assert model.metrics["evaluated_readers"] > 2_000
    assert model.metrics["recall@20"] >= 2 * model.metrics["popularity_recall@20"] > 0.05
    assert model.metrics["ndcg@20"] >= 2 * model.metrics["popularity_ndcg@20"]
    store = ModelStore.open(str(tmp_path), cache_directory=tmp_path)
    store.promote(store.save(model, settings={}, data_digest=data_digest(log, book_ids)))
    assert store.load().metrics == model.metrics


@pytest.mark.skipif(not AMAZON_BOOK.exists(), reason="the Amazon-Book benchmark is not beside the repository")
def test_on_amazon_book_neighbours_find_five_times_what_popularity_finds() -> None:
    lists = [
        np.array(line.split(), dtype=np.int64)
        for line in AMAZON_BOOK.read_text().splitlines()
        if line.strip()
    ]
    readers = np.concatenate([np.full(len(each) - 1, each[0] + 1) for each in lists])
    books = np.concatenate([each[1:] + 1 for each in lists])
    count = len(books)
    log = InteractionLog(
        readers, books, np.full(count, 4, np.uint8), np.full(count, np.nan, np.float32), np.arange(count)
    )
    popular, learned = compare(log, np.unique(books), largest_reader_count=4_000)
    assert learned.recall > 0.2 > 5 * popular.recall  # item cosine: .18
    assert learned.ndcg > 0.12
