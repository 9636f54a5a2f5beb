"""Figures of quality: what is ranked, what counts as found, and the arithmetic."""

import math

import numpy as np
import pytest

from service.domain.interactions import InteractionLog, InteractionType, preference_weights
from service.domain.model import ItemModel
from service.training import TrainingError, TrainingSettings, evaluate, popularity_alone, split, train
from service.training.evaluation import PLACES, recommend
from tests.training.made_logs import history_by_loops, log_of, random_log

SMALL = TrainingSettings(factor_count=8, rerank_count=30, served_history=5)


def ranking_by_loops(model: ItemModel, log: InteractionLog, reader_id: int) -> list[int]:
    """Rank for one reader by the formulae of RankingSettings, then by popularity."""
    how = model.ranking
    ids = model.book_ids.tolist()
    history = history_by_loops(log.take(np.isin(log.book_ids, ids)), reader_id)
    known = [(ids.index(book), liked) for book, liked in history.items()]
    liked = [each for each in known if each[1] > 0][::-1][: how.longest_history]
    dense = np.zeros((len(ids), len(ids)))
    for row in range(len(ids)):
        span = slice(model.indptr[row], model.indptr[row + 1])
        dense[row, model.indices[span]] = model.weights[span]
    scores = np.zeros(len(ids))
    for steps, (row, preference) in enumerate(liked):
        scores += (1 + steps) ** -how.recency_exponent * preference * dense[row]
    # Dislikes fade as what was liked at their time does.
    steps, touched = 0, scores > 0
    disliked = []
    for row, preference in known[::-1]:
        steps += preference > 0
        if preference < 0:
            disliked.append(
                (row, preference * (1 + min(steps, how.longest_history - 1)) ** -how.recency_exponent)
            )
    for row, loss in disliked[: how.longest_history]:
        scores += np.where(touched, loss * dense[row], 0)
    found = [row for row in range(len(ids)) if scores[row] > 0 and ids[row] not in history]
    found = sorted(found, key=lambda row: (-scores[row], row))
    best, rest = found[: how.rerank_count], found[how.rerank_count :]
    if best:
        rows, strengths = [row for row, _ in liked], np.array([each for _, each in liked])
        sources = model.source_factors[rows].astype(np.float64)
        penalties = (1.0 + np.arange(len(rows))) ** how.fold_in_exponent / strengths
        fold = sources.T @ np.linalg.solve(sources @ sources.T + np.diag(penalties), np.ones(len(rows)))
        again = model.target_scales[best] * (model.target_factors[best].astype(np.float64) @ fold)
        first = scores[best] / np.sort(scores[best])[-20:].mean()
        second = again / np.sort(again)[-20:].mean()
        final = (1 - how.rerank_weight) * first + how.rerank_weight * second
        best = [best[place] for place in np.argsort(-final, kind="stable")]
    weights = preference_weights(log.types, log.ratings)
    popularity = {book: weights[log.book_ids == book].sum(dtype=np.float64) for book in ids}
    shown = [ids[row] for row in best + rest]
    filling = [book for book in ids if book not in history and book not in shown]
    return shown + sorted(filling, key=lambda book: (-popularity[book], book))


def test_rankings_are_those_of_a_naive_loop() -> None:
    log, book_ids = random_log(books=120, interactions=700)
    model = train(log, book_ids[:110], settings=SMALL)  # some books of the log are gone
    reader_ids = np.append(np.unique(log.reader_ids), 42)  # and 42 was never seen
    found = recommend(model, log, reader_ids)
    for reader_id, positions in zip(reader_ids.tolist(), found, strict=True):
        expected = ranking_by_loops(model, log, reader_id)[:PLACES]
        assert model.book_ids[positions[positions >= 0]].tolist() == expected


def test_figures_are_those_of_a_naive_loop() -> None:
    log, book_ids = random_log(books=60)
    left, held_out = split(log)
    model = train(left, book_ids)
    recalls, gains, hits, shown = [], [], [], set()
    for reader_id in np.unique(held_out.reader_ids).tolist():
        held = set(held_out.book_ids[held_out.reader_ids == reader_id].tolist())
        mine = history_by_loops(log, reader_id)
        wanted = {book for book, preference in mine.items() if book in held and preference > 0}
        if not wanted:
            continue
        best = ranking_by_loops(model, left, reader_id)[:PLACES]
        found = [place for place, book in enumerate(best) if book in wanted]
        ideal = sum(1 / math.log2(place + 2) for place in range(min(PLACES, len(wanted))))
        recalls.append(len(found) / len(wanted))
        gains.append(sum(1 / math.log2(place + 2) for place in found) / ideal)
        hits.append(bool(found))
        shown |= set(best)
    result = evaluate(model, left, held_out)
    assert result.reader_count == len(recalls)
    assert result.recall == pytest.approx(np.mean(recalls))
    assert result.ndcg == pytest.approx(np.mean(gains))
    assert result.hit_rate == pytest.approx(np.mean(hits))
    assert result.coverage == pytest.approx(len(shown) / len(book_ids))
    assert result.recall_standard_error == pytest.approx(np.std(recalls) / math.sqrt(len(recalls)))
    assert result.ndcg_standard_error == pytest.approx(np.std(gains) / math.sqrt(len(gains)))


def test_a_perfect_ranking_scores_1() -> None:
    left = log_of([(1, 1), (2, 1), (2, 2)])
    result = evaluate(train(left, np.array([1, 2])), left, log_of([(1, 2)]))
    assert (result.recall, result.ndcg, result.hit_rate) == (1.0, 1.0, 1.0)
    assert result.coverage == 0.5


def test_the_baseline_ranks_what_is_not_in_the_history_by_popularity() -> None:
    left = log_of([(1, 3), (2, 2), (2, 3), (3, 3), (4, 1), (4, 2), (5, 3), (5, 2)])
    model = popularity_alone(train(left, np.array([1, 2, 3])))
    found = recommend(model, left, np.array([1, 4, 99]), places=3)
    assert model.book_ids[found[0, :2]].tolist() == [2, 1]
    assert model.book_ids[found[1, :1]].tolist() == [3]
    assert model.book_ids[found[2]].tolist() == [3, 2, 1]
    assert found.tolist()[0][2] == found.tolist()[1][1] == -1


def test_viewed_books_are_not_ranked_again() -> None:
    left = log_of([(1, 1), (1, 2, InteractionType.VIEW), (2, 1), (2, 2), (2, 3)])
    model = train(left, np.array([1, 2, 3]))
    assert recommend(model, left, np.array([1])).tolist()[0][:2] == [2, -1]


def test_disliked_known_and_unknown_books_are_not_looked_for() -> None:
    left = log_of([(1, 1), (2, 1), (2, 2), (3, 3)])
    model = train(left, np.array([1, 2, 3]))
    held_out = log_of([(1, 2), (1, 1), (1, 3, InteractionType.RATING, 1.0), (1, 777), (2, 1), (3, 2, 5, 1.0)])
    result = evaluate(model, left, held_out)
    assert (result.reader_count, result.recall) == (1, 1.0)


def test_the_mean_of_all_ratings_tells_which_held_out_books_were_not_liked() -> None:
    def rated(*ratings: float) -> InteractionLog:
        rows = [
            (1, number, InteractionType.RATING, rating) for number, rating in enumerate(ratings, start=10)
        ]
        return log_of([(2, 1), *rows])

    held_out, book_ids = log_of([(1, 1, InteractionType.RATING, 4.0)]), np.arange(1, 15)
    lenient, strict = rated(5.0, 5.0, 5.0), rated(2.0, 3.0)
    assert evaluate(train(strict, book_ids), strict, held_out).reader_count == 1
    with pytest.raises(TrainingError, match="none is with a book"):
        evaluate(train(lenient, book_ids), lenient, held_out)


def test_readers_never_trained_on_are_judged_by_popularity() -> None:
    left = log_of([(1, 1), (2, 1), (2, 2)])
    result = evaluate(train(left, np.array([1, 2])), left, log_of([(77, 1), (78, 2), (0, 1)]))
    assert (result.reader_count, result.recall) == (3, 1.0)


def test_nothing_to_look_for_is_said() -> None:
    left = log_of([(1, 1)])
    model = train(left, np.array([1]))
    for held_out in (log_of([]), log_of([(1, 1)]), log_of([(1, 999)])):
        with pytest.raises(TrainingError, match="held-out interactions: none is with a book that is new"):
            evaluate(model, left, held_out)


def test_a_choice_of_readers_is_the_same_each_time_and_follows_the_seed() -> None:
    log, book_ids = random_log()
    left, held_out = split(log)
    model = train(left, book_ids)
    results = [evaluate(model, left, held_out, largest_reader_count=20, seed=seed) for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]
    assert [each.reader_count for each in results] == [20, 20, 20]
