"""Languages, categories, authors, diversity and reasons in full: each shapes a list as it says."""

import numpy as np
import pytest

from service.domain.answers import Query
from service.domain.errors import InvalidInput
from service.domain.interactions import InteractionType
from service.domain.model import RankingSettings
from service.domain.recommender import Recommender
from tests.domain.shop import book, did, log_of, model_of

BOOKS = [
    book(1, "mystery", language="en"),
    book(2, "mystery", "horror", language="en-GB", authors=("Poe",)),
    book(3, "horror", language="de", authors=("Poe", "Doyle")),
    book(4, "mystery", language="EN", authors=("Doyle",)),
    book(5, "mystery", "horror", "poetry", authors=("Poe",)),
    book(6, "poetry", language="eng"),
]
MODEL = model_of({1: {2: 0.9, 3: 0.8, 4: 0.7, 5: 0.6, 6: 0.5}}, range(1, 7))


@pytest.fixture
def live():
    return Recommender.of(BOOKS, log_of(did(7, 1)), MODEL)


def offered(live, **query):
    return live.ranked(Query(reader_id=7, places=20, **query))


@pytest.mark.parametrize(
    ("languages", "found"),
    [((), [2, 3, 4, 5, 6]), (("en",), [2, 4]), (("en-gb",), [2]), (("de", "en"), [2, 3, 4]), (("fr",), [])],
)
def test_a_language_means_its_kinds_too(live, languages, found):
    assert offered(live, languages=languages) == found


def test_a_book_changes_its_language_with_its_entry(live):
    live.upsert_books([book(3, language="en"), book(4, language="fr")])
    assert offered(live, languages=("en",)) == [2, 3]
    assert offered(live, languages=("fr",)) == [4]


def test_languages_are_no_categories(live):
    assert set(live.catalogue.book_counts) == {"mystery", "horror", "poetry"}
    with pytest.raises(InvalidInput, match="is not a category"):
        offered(live, categories=("language:en",))


def test_every_category_means_all_of_them(live):
    wanted = ("mystery", "horror")
    assert offered(live, categories=wanted) == [2, 3, 4, 5]
    assert offered(live, categories=wanted, every_category=True) == [2, 5]
    assert offered(live, categories=wanted, every_category=True, languages=("en",)) == [2]
    with pytest.raises(InvalidInput, match='"cooking" is not a category'):
        offered(live, categories=("horror", "cooking"), every_category=True)


def test_each_of_a_books_authors_counts(live):
    assert offered(live, most_per_author=1) == [2, 4, 6]
    assert offered(live, most_per_author=2) == [2, 3, 4, 6]
    assert offered(live, most_per_author=3) == [2, 3, 4, 5, 6]


def test_popular_books_keep_to_the_authors_too():
    stranger = Recommender.of(BOOKS, log_of(*(did(20 + n, 2 + n % 2) for n in range(4))), MODEL)
    assert stranger.ranked(Query(reader_id=9, places=20, most_per_author=1)) == [2, 1, 4, 6]


# 11 to 14 are each other's neighbours, so are 21 to 24; the first are somewhat better.
ALIKE = {n: {m: 1.0 for m in group if m != n} for group in (range(11, 15), range(21, 25)) for n in group}
GROUPS = model_of(
    {1: {11: 1.0, 12: 0.98, 13: 0.96, 14: 0.94, 21: 0.9, 22: 0.88, 23: 0.86, 24: 0.84}} | ALIKE,
    [1, *range(11, 15), *range(21, 25)],
)


def mixed(diversity):
    live = Recommender.of([book(n) for n in GROUPS.book_ids.tolist()], log_of(did(7, 1)), GROUPS)
    return offered(live, diversity=diversity)


def test_diversity_puts_likes_apart():
    assert mixed(0.0) == [11, 12, 13, 14, 21, 22, 23, 24]
    assert mixed(0.5)[:2] == [11, 21]
    assert sorted(mixed(0.5)) == sorted(mixed(0.0))
    assert mixed(0.01) == mixed(0.0)


def test_diversity_is_maximal_marginal_relevance():
    rng = np.random.default_rng(4)
    count, diversity = 40, 0.7
    matrix = np.where(rng.random((count, count)) < 0.3, rng.random((count, count)), 0).astype(np.float32)
    np.fill_diagonal(matrix, 0)
    matrix[0, 1:] = rng.random(count - 1) + 0.1
    model = model_of(
        {s + 1: {t + 1: matrix[s, t] for t in np.flatnonzero(matrix[s])} for s in range(count)},
        range(1, count + 1),
    )
    live = Recommender.of([book(n + 1) for n in range(count)], log_of(did(7, 1)), model)
    relevance = matrix[0] / matrix[0].max()
    alike = matrix / np.maximum(matrix.max(axis=1, keepdims=True), 1e-9)
    alike = np.maximum(alike, alike.T)
    chosen: list[int] = []
    left = set(range(1, count))
    while left:
        best = max(
            left,
            key=lambda n: (
                (1 - diversity) * relevance[n] - diversity * max((alike[n, m] for m in chosen), default=0)
            ),
        )
        chosen.append(best)
        left.remove(best)
    assert live.ranked(Query(reader_id=7, places=100, diversity=diversity)) == [n + 1 for n in chosen]


def test_parts_are_exact_and_the_largest_first():
    model = model_of(
        {n: {20: n / 10} for n in range(1, 8)},
        [*range(1, 8), 20],
        ranking=RankingSettings(recency_exponent=1.0),
    )
    events = [did(7, n, at=n) for n in range(1, 8)]
    live = Recommender.of([book(n) for n in (*range(1, 8), 20)], log_of(*events), model)
    (best,) = live.recommend(Query(reader_id=7, places=1, explain=True)).suggestions
    gains = {n: n / 10 / (8 - n) for n in range(1, 8)}
    total = sum(gains.values())
    expected = sorted(gains, key=lambda n: -gains[n])[:5]
    assert [part.book_id for part in best.parts] == expected
    assert [part.share for part in best.parts] == pytest.approx(
        [gains[n] / total for n in expected], rel=1e-4
    )
    assert best.parts[0].title == "Book 7"
    assert (best.because_id, best.share) == (7, pytest.approx(gains[7] / total, rel=1e-4))
    (short,) = live.recommend(Query(reader_id=7, places=1)).suggestions
    assert short.parts == ()


def test_what_speaks_against_has_no_part():
    model = model_of({1: {3: 1.0}, 2: {3: 0.5}}, range(1, 4))
    events = did(7, 1), did(7, 2, InteractionType.NOT_INTERESTED, at=1)
    live = Recommender.of([book(n) for n in range(1, 4)], log_of(*events), model)
    (best, *_) = live.recommend(Query(reader_id=7, explain=True)).suggestions
    assert [(part.book_id, part.share) for part in best.parts] == [(1, 1.0)]


def test_the_next_volume_says_which_one_was_read_before_it():
    saga = [book(1), *(book(10 + n, series="Saga", series_position=n) for n in (1, 2, 3))]
    model = model_of({1: {11: 0.5, 12: 0.4, 13: 0.3}}, [1, 11, 12, 13])
    live = Recommender.of(saga, log_of(did(7, 1), did(7, 11, at=1)), model)

    def volumes(**query):
        answer = live.recommend(Query(reader_id=7, explain=True, **query))
        return {
            each.book.id: each.volume_before and each.volume_before.book_id for each in answer.suggestions
        }

    assert volumes() == {12: 11}
    assert volumes(any_volume=True) == {12: 11, 13: None}
    live.learn([did(7, 12, at=2)])
    assert volumes() == {13: 12}
