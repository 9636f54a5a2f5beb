"""All that answers come from as it fits together at one time; knows no requests."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from service.domain.answers import Suggestion
from service.domain.catalogue import Catalogue
from service.domain.compiled import njit, types
from service.domain.histories import Histories
from service.domain.model import ItemModel
from service.domain.popularity import Popularity, most_popular, popular_order
from service.domain.ranking import Neighbours, Ranking


@dataclass(frozen=True)
class Shelves:
    """A catalogue, what readers did with it, and a model; immutable but for what readers do."""

    catalogue: Catalogue
    histories: Histories
    popularity: Popularity
    model: ItemModel | None
    neighbours: Neighbours
    counts: NDArray[np.float64]  # [positions], how popular each book was when they were sorted
    order: NDArray[np.int32]  # [positions], by popularity
    _by_category: dict[str, NDArray[np.int32]] = field(default_factory=dict)  # sorted when asked for

    @classmethod
    def arranged(
        cls, catalogue: Catalogue, histories: Histories, popularity: Popularity, model: ItemModel | None
    ) -> "Shelves":
        """Put everything in its place."""
        counts = popularity.counts(len(catalogue))
        return cls(
            catalogue,
            histories,
            popularity,
            model,
            _neighbours(catalogue, model),
            counts,
            popular_order(counts, catalogue.ids),
        )

    def with_model(self, model: ItemModel | None) -> "Shelves":
        """Return them with another model."""
        if model is self.model:
            return self
        return replace(self, model=model, neighbours=_neighbours(self.catalogue, model))

    def sorted_anew(self) -> "Shelves":
        """Return them by what readers did up to now."""
        counts = self.popularity.counts(len(self.catalogue))
        order = popular_order(counts, self.catalogue.ids)
        return replace(self, counts=counts, order=order, _by_category={})

    def with_catalogue(self, catalogue: Catalogue) -> "Shelves":
        """Return them with a catalogue made from theirs; its new books are the least popular for now."""
        added = np.arange(len(self.catalogue), len(catalogue), dtype=np.int32)
        return replace(
            self,
            catalogue=catalogue,
            neighbours=_extended(self.neighbours, catalogue, self.model) if len(added) else self.neighbours,
            counts=np.append(self.counts, np.zeros(len(added))),
            order=np.append(self.order, added[np.argsort(catalogue.ids[added])]),
            _by_category={},
        )

    def popular(self, categories: Sequence[str]) -> NDArray[np.int32]:
        """Return positions by popularity: all, or those of the one category."""
        if len(categories) != 1:
            return self.order
        slug = categories[0]
        # Two threads may both work it out: the same, once more.
        found = self._by_category.get(slug)
        if found is None:
            # Picked in the order in which they lie in memory, and sorted then: several times quicker than the
            # other way round in a large shop.
            theirs = self.within(np.arange(len(self.catalogue), dtype=np.int32), categories)
            found = theirs[popular_order(self.counts[theirs], self.catalogue.ids[theirs])]
            self._by_category[slug] = found
        return found

    def within(self, positions: NDArray[np.int32], categories: Sequence[str]) -> NDArray[np.int32]:
        """Return, in their order, those of the positions that are in a category; none means any category."""
        found = np.empty(len(positions), dtype=np.int32)
        wanted = self.catalogue.wanted(categories)
        return found[: _within(positions, self.catalogue.category_bits, wanted, found)].copy()

    def taken_up(self, categories: Sequence[str], since: int | None, places: int) -> list[Suggestion]:
        """Return the books most taken up since a time in µs, or ever, with how much they were."""
        counts = self.popularity.counts(len(self.catalogue), since)
        among = self.within(np.flatnonzero(counts).astype(np.int32), categories)
        best = most_popular(counts, self.catalogue.ids, among, places).tolist()
        found = ((self.catalogue.at(position), float(counts[position])) for position in best)
        return [Suggestion(book, count) for book, count in found if book]

    def suggestions(self, ranking: Ranking, page: slice) -> list[Suggestion]:
        """Return a page of a ranking as books with their reasons."""
        # Every ranked position has a book: a deleted one is in no category and so in no ranking. The book
        # that speaks for it may be gone.
        at = self.catalogue.at
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
            because_id = because.id if because else int(self.catalogue.ids[source])
            found.append(Suggestion(book, score, because_id, because.title if because else "", share))
        for position in ranking.positions[max(page.start, ranking.learned) : page.stop]:
            book = at(position)
            assert book is not None
            found.append(Suggestion(book, float(self.counts[position])))
        return found


@njit(
    types.int64(
        types.Array(types.int32, 1, "C", readonly=True),
        types.Array(types.uint64, 2, "C", readonly=True),
        types.Array(types.uint64, 1, "C", readonly=True),
        types.int32[::1],
    ),
    nogil=True,
    cache=True,
)
def _within(positions, category_bits, wanted, found):
    count = 0
    for position in positions:
        for word in range(len(wanted)):
            if category_bits[position, word] & wanted[word]:
                found[count] = position
                count += 1
                break
    return count


def _neighbours(catalogue: Catalogue, model: ItemModel | None) -> Neighbours:
    row_of = np.full(len(catalogue), -1, dtype=np.int32)
    if model is None:
        nothing = np.empty(0, dtype=np.int32)
        return Neighbours(
            row_of, nothing, np.zeros(1, dtype=np.int64), nothing, np.empty(0, dtype=np.float32)
        )
    position_of = catalogue.positions_of_array(np.asarray(model.book_ids))
    known = np.flatnonzero(position_of >= 0)
    row_of[position_of[known]] = known
    # Mapped arrays are handed on as plain ones over the same pages: what the kernel was compiled for.
    return Neighbours(
        row_of, position_of, np.asarray(model.indptr), np.asarray(model.indices), np.asarray(model.weights)
    )


def _extended(neighbours: Neighbours, catalogue: Catalogue, model: ItemModel | None) -> Neighbours:
    """Return neighbours also of the books that were added to the catalogue."""
    known = len(neighbours.row_of)
    row_of = np.append(neighbours.row_of, np.full(len(catalogue) - known, -1, dtype=np.int32))
    if model is None or not len(model.book_ids):
        return replace(neighbours, row_of=row_of)
    rows = np.searchsorted(model.book_ids, catalogue.ids[known:])
    rows[rows == len(model.book_ids)] = 0
    learned = np.flatnonzero(model.book_ids[rows] == catalogue.ids[known:])
    row_of[known + learned] = rows[learned]
    position_of = neighbours.position_of.copy()
    position_of[rows[learned]] = known + learned
    return replace(neighbours, row_of=row_of, position_of=position_of)
