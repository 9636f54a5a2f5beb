"""Which books should this reader see next: joins catalogue, histories, popularity and model; does no I/O."""

import threading
from collections.abc import Callable, Iterable, Sequence

from service.domain.answers import Answer, Query, Strategy, Suggestion
from service.domain.books import Book
from service.domain.catalogue import Catalogue
from service.domain.histories import EventPages, Histories, History
from service.domain.interactions import (
    DEFAULT_WEIGHTS,
    Interaction,
    InteractionLog,
    InteractionWeights,
)
from service.domain.kept import Kept
from service.domain.listing import Listing, listing, neighbours, session
from service.domain.model import ItemModel
from service.domain.popularity import EVER, Popularity, PopularityPages, Span
from service.domain.ranking import Scratch
from service.domain.reasons import explained, suggestions
from service.domain.shelves import Shelves

# Slots in a scratch beyond those of the shop, so that not every new book costs every thread a new one.
_SPARE_SLOTS = 4096
# Few look at later pages, and what stands for one grows with what was shown.
MOST_KEPT_SHOWN = 100
# Arranging takes up to a second in a large shop, and changes of the catalogue in that time are few.
_ATTEMPTS = 3


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
        weights: InteractionWeights = DEFAULT_WEIGHTS,
    ) -> "Recommender":
        """Answer from books and interactions in memory."""
        catalogue = Catalogue(books)
        log = log.by_time()
        positions = catalogue.positions_of_array(log.book_ids)
        return cls(
            catalogue,
            Histories(EventPages.of(log, positions), weights),
            Popularity(PopularityPages.of(log, positions, len(catalogue)), weights),
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
        key = (stale, query.places, tuple(query.shown), query.explain, query.filters())
        # Before the answer is worked out: what changes meanwhile makes it one that is not given again.
        news, shelves = self._shelves.histories.news_of(query.reader_id), self._shelves
        answer = self._kept.get(key, news, shelves)
        if answer is None:
            answer = self._work_out(query, stale)
            if len(query.shown) <= MOST_KEPT_SHOWN:
                self._kept.put(key, answer, news, shelves)
        return answer

    def ranked(self, query: Query) -> list[int]:
        """Return the ids of the books that `recommend` would answer with: what evaluation judges."""
        history, shelves = self._history_of(query)
        found = listing(query, history, shelves, self._scratch(shelves), with_reasons=False)
        return [int(shelves.catalogue.ids[found.ranking.positions[place]]) for place in found.page]

    def _work_out(self, query: Query, stale: bool) -> Answer:
        history, shelves = self._history_of(query)
        scratch = self._scratch(shelves)
        found = listing(query, history, shelves, scratch)
        books = suggestions(found, shelves)
        if query.explain:
            books = explained(books, found, history, shelves, scratch)
        return Answer(
            books,
            _strategy(query, history, shelves, found, stale),
            filled=len(found.page) - found.learned,
            more=found.more,
            model_version=shelves.model.version if shelves.model else "",
        )

    def _history_of(self, query: Query) -> tuple[History, Shelves]:
        if not query.reader_id:
            shelves = self._shelves
            return session(shelves.catalogue.positions(query.recent_book_ids)), shelves
        while True:
            histories = self._shelves.histories
            history = histories.of(query.reader_id)
            # After the history: read before, they could lack books that it has the positions of.
            shelves = self._shelves
            if shelves.histories is histories:
                return history, shelves

    def _scratch(self, shelves: Shelves) -> Scratch:
        scratch: Scratch | None = getattr(self._thread, "scratch", None)
        slot_count = len(shelves.ground.position_of)
        if scratch is None or scratch.slot_count < slot_count:
            scratch = self._thread.scratch = Scratch.of(slot_count + _SPARE_SLOTS)
        return scratch

    def similar(self, book_id: int, categories: Sequence[str], places: int) -> Answer:
        """List the books that a book speaks for; raise NotFound, or InvalidInput for unknown categories."""
        shelves = self._shelves
        shelves.catalogue.book(book_id)
        itself = session(shelves.catalogue.positions([book_id]))
        found = neighbours(itself, categories, places, shelves, self._scratch(shelves))
        version = shelves.model.version if shelves.model else ""
        books = suggestions(found, shelves)
        return Answer(books, Strategy.SESSION, filled=0, more=False, model_version=version)

    def popular(
        self, category: str, places: int, span: Span = EVER, before: Span | None = None
    ) -> list[Suggestion]:
        """List the books most taken up in a span, or that rose most since one before it.

        Raises InvalidInput as `recommend`.
        """
        shelves = self._shelves
        categories = [category] if category else []
        shelves.catalogue.wanted(categories, "category")
        return shelves.taken_up(categories, span, before, places)


def _strategy(query: Query, history: History, shelves: Shelves, found: Listing, stale: bool) -> Strategy:
    if len(history) and shelves.model is None:
        return Strategy.DEGRADED
    if not found.ranking.learned:
        return Strategy.POPULAR
    if not query.reader_id:
        return Strategy.SESSION
    return Strategy.STALE if stale else Strategy.PERSONAL
