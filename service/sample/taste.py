"""Makes up readers whose taste decides which books they take up; knows nothing of any recommender.

The model, drawn for each reader from one seeded generator:

1. How much a reader likes a book (`_liking`) is a sum of
   - favourite categories: one to three, the shop's better stocked ones more often;
   - favourite authors: a few, whatever the category;
   - mood: what no column of the catalogue tells (pace, warmth, darkness). Books have hidden traits, shared in
     part by an author's books, and readers lean towards some. Only other readers' behaviour gives it away;
   - era: a favourite year, and less liking with every generation away from it;
   - language: books in another than the shop's main one are for those who read it.
2. How likely anybody comes across it (`_fame`): long-tailed, runs in authors and series, greater for classics
   and less for the later volumes of a series.
3. Readers take up as many books as a long-tailed draw says: those with the greatest sum of liking, fame and
   Gumbel noise, which samples without replacement from the softmax of the sum (Kool et al. 2019, "Stochastic
   beams and where to find them").
4. Who takes up a volume of a series often takes up the next, and in order; nobody takes up two editions of a
   work (`series`).
5. Interests come in phases: a reader stays with a category for a while (`_phases`).

`journal` then says when it happened and what the shop saw of it.
"""

import collections
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.interactions import Interaction
from service.sample.journal import write_journal
from service.sample.series import follow_series, keep_one_edition, put_series_in_order, series_in_order

Matrix = NDArray[np.float32]  # readers x books

# Books a reader takes up: log-normal, as in public reading data, where few readers make up much of the log.
MEDIAN_BOOKS = 10.5
BOOKS_SIGMA = 0.9  # the busiest tenth of readers makes about a third of the log
FEWEST_BOOKS, MOST_BOOKS = 3, 150  # fewer teach nothing; more would be a library

# Liking, in units of the Gumbel noise: +1 makes a book e times as likely. Set by trial so that neighbours
# learned from the log find about three times what popularity finds (Recall@20 on a held-out fifth of what was
# bought, read or rated: .39 and .12), while most of what a reader takes up stays a surprise.
FAVOURITE_CATEGORIES = (1, 2, 2, 3)  # a reader has one of these numbers of them
CATEGORY_PULL = 5.5
AUTHOR_CHANCE = 0.02  # of each author being a favourite: about five of the sample's
AUTHOR_PULL = 3.5
MOOD_TRAITS = 6
MOOD_PULL = 1.6  # standard deviation of what mood adds
MOOD_OF_AUTHOR = 0.7  # share of a book's traits that its author's other books have too
ERA_CENTRE, ERA_SPREAD = 1890, 30  # favourite years: most of the catalogue lies around it
ERA_WIDTH = 30  # years away that cost 0.5; a generation either way hardly matters
ERA_FLOOR = -2.0  # beyond, old is old

# Fame, in the same units.
FAME_SIGMA = 0.6  # of a book by itself, or of a series as a whole
AUTHOR_FAME_SIGMA = 0.5
CLASSIC_FAME = 1.2
LATER_VOLUME_FAME = -0.8  # a series' later volumes are rarely where one begins

# Chance that a reader reads a language that is not the shop's main one; bilingual readers like originals.
LANGUAGE_CHANCES = {"fr": 0.12, "de": 0.10, "es": 0.08, "it": 0.06, "ru": 0.06}
OTHER_LANGUAGE_CHANCE = 0.03
ORIGINAL_PULL = 1.5

PHASE_SHARE = 0.6  # of a book's place in time that its main category decides, the rest is chance


def sample_interactions(
    books: Sequence[Book], seed: int = 20260101, readers: int = 3200
) -> Iterator[Interaction]:
    """Yield what readers 1 to `readers` did with the books, by time; the same for the same arguments."""
    random = np.random.default_rng(seed)
    liking = _liking(books, readers, random)
    keys = liking + _fame(books, random) + random.gumbel(size=liking.shape).astype(np.float32)
    series = series_in_order(books)
    follow_series(keys, series, random)
    keep_one_edition(keys, books)
    chosen = _take_up(keys, random)
    order = _phases(books, readers, random)
    put_series_in_order(order, chosen, series)
    return write_journal(books, liking, chosen, order, random)


def _liking(books: Sequence[Book], readers: int, random: np.random.Generator) -> Matrix:
    """Tell how much each reader likes each book; minus infinity where they cannot read it."""
    category_of, categories = _memberships([book.categories for book in books])
    author_of, authors = _memberships([book.authors for book in books])

    # The k greatest of a row of draws are the reader's k favourites; well stocked categories draw higher.
    draws = random.gumbel(size=(readers, categories)) + 0.5 * np.log(category_of.sum(axis=0))
    ranks = np.argsort(np.argsort(-draws, axis=1), axis=1)
    is_favourite = ranks < random.choice(FAVOURITE_CATEGORIES, size=(readers, 1))
    # The first favourite counts most; a book's categories share its weight.
    tastes = np.where(is_favourite, CATEGORY_PULL / (1 + 0.5 * ranks), 0.0)
    liking = tastes @ (category_of / np.sqrt(category_of.sum(axis=1, keepdims=True))).T

    favourite_authors = random.random((readers, authors)) < AUTHOR_CHANCE
    liking += AUTHOR_PULL * np.minimum(favourite_authors @ author_of.T, 1)

    by_author = author_of @ random.normal(size=(authors, MOOD_TRAITS))
    own = random.normal(size=(len(books), MOOD_TRAITS))
    traits = np.sqrt(MOOD_OF_AUTHOR) * by_author + np.sqrt(1 - MOOD_OF_AUTHOR) * own
    leanings = random.normal(scale=MOOD_PULL / np.sqrt(MOOD_TRAITS), size=(readers, MOOD_TRAITS))
    liking += leanings @ traits.T

    years = np.array([book.year for book in books])
    favourite_years = random.normal(ERA_CENTRE, ERA_SPREAD, size=(readers, 1))
    distance = np.maximum(-0.5 * ((years - favourite_years) / ERA_WIDTH) ** 2, ERA_FLOOR)
    liking += np.where(years == 0, 0.0, distance)  # 0 is unknown

    return (liking + _language_pull(books, readers, random)).astype(np.float32)


def _language_pull(books: Sequence[Book], readers: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return readers x books: what a book's language adds; nothing for the shop's main language."""
    languages = collections.Counter(book.language for book in books)
    pull = np.zeros((readers, len(books)))
    for language, _ in languages.most_common()[1:]:
        can_read = random.random((readers, 1)) < LANGUAGE_CHANCES.get(language, OTHER_LANGUAGE_CHANCE)
        places = [place for place, book in enumerate(books) if book.language == language]
        pull[:, places] = np.where(can_read, ORIGINAL_PULL, -np.inf)
    return pull


def _fame(books: Sequence[Book], random: np.random.Generator) -> Matrix:
    """Tell how likely anybody comes across each book."""
    author_of, authors = _memberships([book.authors[:1] for book in books])
    shelf_of, shelves = _memberships([(book.series or book.title,) for book in books])
    fame = shelf_of @ random.normal(scale=FAME_SIGMA, size=shelves)
    fame += author_of @ random.normal(scale=AUTHOR_FAME_SIGMA, size=authors)
    fame += CLASSIC_FAME * np.array(["classics" in book.categories for book in books])
    fame += LATER_VOLUME_FAME * np.array([book.series_position > 1 for book in books])
    return fame.astype(np.float32)


def _memberships(groups: Sequence[Sequence[str]]) -> tuple[NDArray[np.float64], int]:
    """Return a 0/1 matrix books x names, and the number of names (in alphabetical order, for determinism)."""
    names = sorted({name for group in groups for name in group})
    column = {name: place for place, name in enumerate(names)}
    matrix = np.zeros((len(groups), len(names)))
    for row, group in enumerate(groups):
        matrix[row, [column[name] for name in group]] = 1
    return matrix, len(names)


def _take_up(keys: Matrix, random: np.random.Generator) -> NDArray[np.bool_]:
    """Choose each reader's books: as many as they take up, the greatest keys first."""
    most = min(MOST_BOOKS, max(1, keys.shape[1] // 2))  # a tiny catalogue is not read to the end
    counts = np.clip(
        random.lognormal(np.log(MEDIAN_BOOKS), BOOKS_SIGMA, size=len(keys)).astype(int),
        min(FEWEST_BOOKS, most),
        most,
    )
    ranks = np.argsort(np.argsort(-keys, axis=1, kind="stable"), axis=1)
    return (ranks < counts[:, np.newaxis]) & np.isfinite(keys)


def _phases(books: Sequence[Book], readers: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return readers x books: places in time, ascending, with a category's books near each other."""
    main_of, categories = _memberships([book.categories[:1] for book in books])
    phases = random.random((readers, categories)) @ main_of.T
    return PHASE_SHARE * phases + (1 - PHASE_SHARE) * random.random(phases.shape)
