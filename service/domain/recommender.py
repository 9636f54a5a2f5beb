"""Which books should this reader see next: joins catalogue, histories, popularity and model; does no I/O."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.catalogue import Catalogue
from service.domain.histories import NO_HISTORY, Histories, History
from service.domain.interactions import Interaction, InteractionLog
from service.domain.kept import Kept
from service.domain.model import ItemModel
from service.domain.popularity import Popularity, popular_order
from service.domain.ranking import Neighbours, Ranking, Scratch, rank

# The newest books of a history that are summed over: bounds the cost of a reader with 100,000 interactions.
# Everything they read stays hidden all the same.
LONGEST_HISTORY = 500
DEEPEST_PLACE = 1000  # how far an answer can be paged through

_NONE = np.empty(0, dtype=np.int32)


class Strategy(StrEnum):  # of texts: hashing a member of a plain Enum runs Python code
    """How an answer came about; see the v1 contract's Strategy."""

    PERSONAL = "personal"
    SESSION = "session"
    POPULAR = "popular"
    DEGRADED = "degraded"


@dataclass(slots=True)
class Query:
    """What is asked for: a reader (0: none), or a session's recent books, oldest first."""

    reader_id: int = 0
    recent_book_ids: Sequence[int] = ()
    categories: Sequence[str] = ()
    exclude_book_ids: Sequence[int] = ()
    include_read: bool = False
    places: int = 10
    skip: int = 0  # places before the first one wanted


class Suggestion(NamedTuple):  # quicker to make than a frozen dataclass, and each answer makes ten
    """One book of an answer, and the book that speaks for it most (id 0: none, it is popular)."""

    book: Book
    score: float
    because_id: int = 0
    because_title: str = ""  # empty where that book has left the catalogue
    share: float = 0.0  # the part of the score that it gave, 0 to 1


class Answer(NamedTuple):
    """Suggestions, best first."""

    suggestions: list[Suggestion]
    strategy: Strategy
    filled: int  # how many at the end are there for their popularity alone
    more: bool  # whether there are places behind these
    model_version: str


@dataclass(frozen=True, slots=True)
class _Shelves:
    """The catalogue, the model and popularity as they fit together at one time; replaced as a whole."""

    catalogue: Catalogue
    model: ItemModel | None
    neighbours: Neighbours
    counts: NDArray[np.float64]
    popular: dict[str, NDArray[np.int32]]  # positions by popularity, for "" (all) and each category


class Recommender:
    """Answers from memory. Any number of threads may ask; changes take turns under one lock."""

    def __init__(
        self,
        books: Iterable[Book],
        log: InteractionLog,
        model: ItemModel | None = None,
        *,
        kept_answers: int = 0,
    ) -> None:
        """Learn what there is; up to `kept_answers` answers to readers are kept for when they ask again."""
        catalogue = Catalogue(books)
        log = log.by_time()
        positions = catalogue.positions_of_array(log.book_ids)
        self._histories = Histories(log, positions)
        self._popularity = Popularity(log, positions)
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._kept = Kept[Answer](kept_answers)
        self._shelves = self._arrange(catalogue, model)

    def _arrange(self, catalogue: Catalogue, model: ItemModel | None) -> _Shelves:
        counts = self._popularity.counts(len(catalogue))
        order = popular_order(counts, catalogue.ids)
        popular = {"": order}
        for slug in catalogue.book_counts:
            popular[slug] = order[np.any(catalogue.category_bits[order] & catalogue.wanted([slug]), axis=1)]
        return _Shelves(catalogue, model, _neighbours(catalogue, model), counts, popular)

    def _replace_shelves(self, catalogue: Catalogue, model: ItemModel | None) -> None:
        self._shelves = self._arrange(catalogue, model)
        self._kept.clear()  # else answers that nobody asks for again would hold on to the old model

    # What is there

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue that answers are taken from now."""
        return self._shelves.catalogue

    @property
    def model(self) -> ItemModel | None:
        """The model that answers now."""
        return self._shelves.model

    @property
    def reader_count(self) -> int:
        """Count the readers with a history."""
        return len(self._histories)

    # Changes

    def use_model(self, model: ItemModel) -> None:
        """Answer from this model from now on."""
        with self._lock:
            self._replace_shelves(self._shelves.catalogue, model)

    def refresh_popularity(self) -> None:
        """Sort popular books by what readers did up to now."""
        with self._lock:
            self._replace_shelves(self._shelves.catalogue, self._shelves.model)

    def upsert_books(self, books: Iterable[Book]) -> None:
        """Add books, or replace those of the same id."""
        with self._lock:
            self._replace_shelves(self._shelves.catalogue.with_books(books), self._shelves.model)

    def delete_books(self, book_ids: Iterable[int]) -> None:
        """Take books out of every later answer."""
        with self._lock:
            self._replace_shelves(self._shelves.catalogue.without(book_ids), self._shelves.model)

    def learn(self, interactions: Sequence[Interaction]) -> None:
        """Let interactions count in the next answers to their readers."""
        log = InteractionLog.of(interactions)
        with self._lock:
            positions = self._shelves.catalogue.positions_of_array(log.book_ids)
            self._histories.learn(log, positions)
            self._popularity.learn(log, positions)

    def forget(self, reader_id: int) -> None:
        """Drop a reader's history; what they did stays, without their name, in popularity."""
        with self._lock:
            self._histories.forget(reader_id)
            self._kept.clear()

    # Answers

    def recommend(self, query: Query) -> Answer:
        """Answer a query; raise InvalidInput for categories that the catalogue does not have.

        The same object is returned again while neither the reader's history nor the shelves have changed.
        """
        if not query.reader_id:
            return self._work_out(query)
        key = (
            query.reader_id,
            query.places,
            query.skip,
            query.include_read,
            tuple(query.categories),
            tuple(query.exclude_book_ids),
        )
        # Before the answer is worked out: what changes meanwhile makes it one that is not given again.
        news, shelves = self._histories.news_of(query.reader_id), self._shelves
        answer = self._kept.get(key, news, shelves)
        if answer is None:
            answer = self._work_out(query)
            self._kept.put(key, answer, news, shelves)
        return answer

    def _work_out(self, query: Query) -> Answer:
        # The history comes before the shelves: read the other way round, it could name positions of books
        # that were added in between.
        history = self._histories.of(query.reader_id) if query.reader_id else NO_HISTORY
        shelves = self._shelves
        catalogue = shelves.catalogue
        if query.reader_id:
            strategy = Strategy.PERSONAL
            hidden = [_NONE if query.include_read else history.positions[history.read]]
        else:
            history, strategy = _session(catalogue.positions(query.recent_book_ids)), Strategy.SESSION
            hidden = [history.positions]
        if query.exclude_book_ids:
            hidden.append(catalogue.positions(query.exclude_book_ids))
        if not len(history):
            strategy = Strategy.POPULAR
        elif shelves.model is None:
            strategy = Strategy.DEGRADED

        places = min(query.skip + query.places + 1, DEEPEST_PLACE)  # one more tells whether there is more
        ranking = self._rank(
            shelves,
            history,
            np.concatenate(hidden) if len(hidden) > 1 else hidden[0],
            catalogue.wanted(query.categories),
            _popular(shelves, query.categories),
            places,
        )
        if not ranking.learned and strategy in (Strategy.PERSONAL, Strategy.SESSION):
            strategy = Strategy.POPULAR
        page = slice(query.skip, min(query.skip + query.places, len(ranking.positions)))
        suggestions = _suggestions(shelves, ranking, page)
        return Answer(
            suggestions,
            strategy,
            filled=max(0, page.stop - max(page.start, ranking.learned)),
            more=len(ranking.positions) > page.stop,
            model_version=shelves.model.version if shelves.model else "",
        )

    def similar(self, book_id: int, categories: Sequence[str], places: int) -> Answer:
        """List the books that a book speaks for; raise NotFound, or InvalidInput for unknown categories."""
        shelves = self._shelves
        shelves.catalogue.book(book_id)
        itself = shelves.catalogue.positions([book_id])
        wanted = shelves.catalogue.wanted(categories)
        ranking = self._rank(shelves, _session(itself), itself, wanted, _NONE, places)
        suggestions = _suggestions(shelves, ranking, slice(0, places))
        version = shelves.model.version if shelves.model else ""
        return Answer(suggestions, Strategy.SESSION, filled=0, more=False, model_version=version)

    def popular(self, category: str, since: int | None, places: int) -> list[Suggestion]:
        """List the books most taken up since a time in µs, or ever; raise InvalidInput as `recommend`."""
        shelves = self._shelves
        catalogue = shelves.catalogue
        wanted = catalogue.wanted([category] if category else (), "category")
        counts = self._popularity.counts(len(catalogue), since)
        counts[~np.any(catalogue.category_bits & wanted, axis=1)] = 0
        best = popular_order(counts, catalogue.ids)[:places].tolist()
        found = ((catalogue.at(position), float(counts[position])) for position in best)
        return [Suggestion(book, count) for book, count in found if book and count > 0]

    def _rank(
        self,
        shelves: _Shelves,
        history: History,
        hidden: NDArray[np.int32],
        wanted: NDArray[np.uint64],
        popular: NDArray[np.int32],
        places: int,
    ) -> Ranking:
        catalogue = shelves.catalogue
        scratch = getattr(self._thread, "scratch", None)
        if scratch is None or scratch.position_count != len(catalogue):
            scratch = self._thread.scratch = Scratch(len(catalogue))
        return rank(
            scratch,
            shelves.neighbours,
            history.positions[-LONGEST_HISTORY:],
            history.preferences[-LONGEST_HISTORY:],
            hidden,
            wanted,
            catalogue.category_bits,
            catalogue.ids,
            popular,
            places,
        )


def _session(positions: NDArray[np.int32]) -> History:
    return History(
        positions, np.ones(len(positions), dtype=np.float32), np.zeros(len(positions), dtype=np.bool_)
    )


def _popular(shelves: _Shelves, categories: Sequence[str]) -> NDArray[np.int32]:
    return shelves.popular[categories[0] if len(categories) == 1 else ""]


def _suggestions(shelves: _Shelves, ranking: Ranking, page: slice) -> list[Suggestion]:
    # Every ranked position has a book: a deleted one is in no category and so in no ranking. The book that
    # speaks for it may be gone.
    at = shelves.catalogue.at
    found = []
    learned = slice(page.start, min(page.stop, ranking.learned))
    for position, score, source, share in zip(
        ranking.positions[learned],
        ranking.scores[learned],
        ranking.sources[learned],
        ranking.shares[learned],
        strict=True,
    ):
        book, because = at(position), at(source)
        assert book is not None
        because_id = because.id if because else int(shelves.catalogue.ids[source])
        found.append(Suggestion(book, score, because_id, because.title if because else "", share))
    for position in ranking.positions[max(page.start, ranking.learned) : page.stop]:
        book = at(position)
        assert book is not None
        found.append(Suggestion(book, float(shelves.counts[position])))
    return found


def _neighbours(catalogue: Catalogue, model: ItemModel | None) -> Neighbours:
    if model is None:
        unknown = np.full(len(catalogue), -1, dtype=np.int32)
        return Neighbours(unknown, _NONE, np.zeros(1, dtype=np.int64), _NONE, np.empty(0, dtype=np.float32))
    position_of = catalogue.positions_of_array(np.asarray(model.book_ids))
    row_of = np.full(len(catalogue), -1, dtype=np.int32)
    known = np.flatnonzero(position_of >= 0)
    row_of[position_of[known]] = known
    # Mapped arrays are handed on as plain ones over the same pages: what the kernel was compiled for.
    return Neighbours(
        row_of, position_of, np.asarray(model.indptr), np.asarray(model.indices), np.asarray(model.weights)
    )
