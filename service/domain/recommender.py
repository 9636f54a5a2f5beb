"""Which books should this reader see next: joins catalogue, histories, popularity and model; does no I/O."""

import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.answers import Answer, Query, Strategy, Suggestion
from service.domain.books import Book
from service.domain.catalogue import Catalogue
from service.domain.histories import NO_HISTORY, EventPages, Histories, History
from service.domain.interactions import Interaction, InteractionLog
from service.domain.kept import Kept
from service.domain.model import ItemModel
from service.domain.popularity import Popularity, PopularityPages
from service.domain.ranking import Ranking, Scratch, rank
from service.domain.shelves import Shelves

# The newest books of a history that are summed over: bounds the cost of a reader with 100,000 interactions.
# Everything they read stays hidden all the same.
LONGEST_HISTORY = 500
DEEPEST_PLACE = 1000  # how far an answer can be paged through
# Places in a scratch beyond those of the catalogue, so that not every new book costs every thread a new one.
_SPARE_POSITIONS = 4096
# Arranging takes up to a second in a large shop, and changes of the catalogue in that time are few.
_ATTEMPTS = 3

_NONE = np.empty(0, dtype=np.int32)


class Recommender:
    """Answers from memory. Any number of threads may ask; changes take turns under one lock."""

    def __init__(
        self,
        catalogue: Catalogue,
        histories: Histories,
        popularity: Popularity,
        model: ItemModel | None = None,
        *,
        kept_answers: int = 0,
    ) -> None:
        """Answer from these; up to `kept_answers` answers to readers are kept for when they ask again."""
        # Whether what readers do elsewhere may be missing; whoever follows the database sets it. Answers that
        # would be personal say so from the next one on.
        self.stale = False
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._kept = Kept[Answer](kept_answers)
        self._shelves = Shelves.arranged(catalogue, histories, popularity, model)

    @classmethod
    def of(
        cls,
        books: Iterable[Book],
        log: InteractionLog,
        model: ItemModel | None = None,
        *,
        kept_answers: int = 0,
    ) -> "Recommender":
        """Answer from books and interactions in memory."""
        catalogue = Catalogue(books)
        log = log.by_time()
        positions = catalogue.positions_of_array(log.book_ids)
        return cls(
            catalogue,
            Histories(EventPages.of(log, positions)),
            Popularity(PopularityPages.of(log, positions, len(catalogue))),
            model,
            kept_answers=kept_answers,
        )

    def _rearrange(self, change: Callable[[Shelves], Shelves]) -> None:
        # What takes long is done beside the lock, so that it holds nobody up who has something to tell; in
        # the end under it, so that frequent changes cannot put it off for ever.
        for _ in range(_ATTEMPTS):
            before = self._shelves
            after = change(before)
            with self._lock:
                if self._shelves is before:
                    self._replace(after)
                    return
        with self._lock:
            self._replace(change(self._shelves))

    def _replace(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self._kept.clear()  # else answers that nobody asks for again would hold on to the old ones

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
        return len(self._shelves.histories)

    # Changes

    def use_model(self, model: ItemModel) -> None:
        """Answer from this model from now on."""
        self._rearrange(lambda shelves: shelves.with_model(model))

    def refresh_popularity(self) -> None:
        """Sort popular books by what readers did up to now."""
        self._rearrange(lambda shelves: shelves.sorted_anew())

    def upsert_books(self, books: Iterable[Book]) -> None:
        """Add books, or replace those of the same id."""
        with self._lock:
            self._replace(self._shelves.with_catalogue(self._shelves.catalogue.with_books(books)))

    def delete_books(self, book_ids: Iterable[int]) -> None:
        """Take books out of every later answer."""
        with self._lock:
            self._replace(self._shelves.with_catalogue(self._shelves.catalogue.without(book_ids)))

    def learn(self, interactions: Sequence[Interaction]) -> None:
        """Let interactions count in the next answers to their readers."""
        self.learn_log(InteractionLog.of(interactions))

    def learn_log(self, log: InteractionLog) -> None:
        """Let a log, in the order in which it came, count in the next answers to its readers."""
        with self._lock:
            positions = self._shelves.catalogue.positions_of_array(log.book_ids)
            self._shelves.histories.learn(log, positions)
            self._shelves.popularity.learn(log, positions)

    def forget(self, reader_id: int) -> None:
        """Drop a reader's history; what they did stays, without their name, in popularity."""
        with self._lock:
            self._shelves.histories.forget(reader_id)
            self._kept.clear()

    def replace_reader(self, reader_id: int, log: InteractionLog) -> None:
        """Let this log, in the order in which it came, be all that a reader did; popularity stays."""
        with self._lock:
            positions = self._shelves.catalogue.positions_of_array(log.book_ids)
            self._shelves.histories.replace(reader_id, log, positions)
            self._kept.clear()

    def use_shop(self, catalogue: Catalogue, histories: Histories, popularity: Popularity) -> None:
        """Answer from these from now on, with the model in use; every answer is from the old or from the new.

        What was learned before and is not in them is gone.
        """
        self._rearrange(lambda shelves: Shelves.arranged(catalogue, histories, popularity, shelves.model))

    def adopt(self, other: "Recommender") -> None:
        """Answer from what another one has learned and sorted; otherwise as `use_shop`."""
        theirs = other._shelves
        self._rearrange(lambda shelves: theirs.with_model(shelves.model))

    # Answers

    def recommend(self, query: Query) -> Answer:
        """Answer a query; raise InvalidInput for categories that the catalogue does not have.

        The same object is returned again while neither the reader's history nor the shelves have changed.
        """
        if not query.reader_id:
            return self._work_out(query, stale=False)
        stale = self.stale
        key = (
            stale,
            query.reader_id,
            query.places,
            query.skip,
            query.include_read,
            tuple(query.categories),
            tuple(query.exclude_book_ids),
        )
        # Before the answer is worked out: what changes meanwhile makes it one that is not given again.
        news, shelves = self._shelves.histories.news_of(query.reader_id), self._shelves
        answer = self._kept.get(key, news, shelves)
        if answer is None:
            answer = self._work_out(query, stale)
            self._kept.put(key, answer, news, shelves)
        return answer

    def _work_out(self, query: Query, stale: bool) -> Answer:
        history, shelves = self._history_of(query.reader_id)
        catalogue = shelves.catalogue
        if query.reader_id:
            strategy = Strategy.STALE if stale else Strategy.PERSONAL
            # What the reader does not want stays away, even where they ask for what they have read.
            away = history.unwanted if query.include_read else history.read | history.unwanted
            hidden = [history.positions[away]]
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
            shelves.popular(query.categories),
            places,
        )
        if not ranking.learned and strategy is not Strategy.DEGRADED:
            strategy = Strategy.POPULAR
        page = slice(query.skip, min(query.skip + query.places, len(ranking.positions)))
        suggestions = shelves.suggestions(ranking, page)
        return Answer(
            suggestions,
            strategy,
            filled=max(0, page.stop - max(page.start, ranking.learned)),
            more=len(ranking.positions) > page.stop,
            model_version=shelves.model.version if shelves.model else "",
        )

    def _history_of(self, reader_id: int) -> tuple[History, Shelves]:
        while True:
            histories = self._shelves.histories
            history = histories.of(reader_id) if reader_id else NO_HISTORY
            # After the history: read before, they could lack books that it has the positions of.
            shelves = self._shelves
            if shelves.histories is histories:
                return history, shelves

    def similar(self, book_id: int, categories: Sequence[str], places: int) -> Answer:
        """List the books that a book speaks for; raise NotFound, or InvalidInput for unknown categories."""
        shelves = self._shelves
        shelves.catalogue.book(book_id)
        itself = shelves.catalogue.positions([book_id])
        wanted = shelves.catalogue.wanted(categories)
        ranking = self._rank(shelves, _session(itself), itself, wanted, _NONE, places)
        suggestions = shelves.suggestions(ranking, slice(0, places))
        version = shelves.model.version if shelves.model else ""
        return Answer(suggestions, Strategy.SESSION, filled=0, more=False, model_version=version)

    def popular(self, category: str, since: int | None, places: int) -> list[Suggestion]:
        """List the books most taken up since a time in µs, or ever; raise InvalidInput as `recommend`."""
        shelves = self._shelves
        categories = [category] if category else []
        shelves.catalogue.wanted(categories, "category")
        return shelves.taken_up(categories, since, places)

    def _rank(
        self,
        shelves: Shelves,
        history: History,
        hidden: NDArray[np.int32],
        wanted: NDArray[np.uint64],
        popular: NDArray[np.int32],
        places: int,
    ) -> Ranking:
        catalogue = shelves.catalogue
        scratch = getattr(self._thread, "scratch", None)
        if scratch is None or scratch.position_count < len(catalogue):
            scratch = self._thread.scratch = Scratch(len(catalogue) + _SPARE_POSITIONS)
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
    no = np.zeros(len(positions), dtype=np.bool_)
    return History(positions, np.ones(len(positions), dtype=np.float32), no, no)
