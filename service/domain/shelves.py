"""All that answers come from as it fits together at one time; knows no requests."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from service.domain.answers import Suggestion
from service.domain.catalogue import Catalogue
from service.domain.compiled import njit, types
from service.domain.content import content_neighbours
from service.domain.histories import Histories
from service.domain.model import ItemModel
from service.domain.popularity import Popularity, Span, most_popular, popular_order
from service.domain.ranking import Ground, Rows


@dataclass(frozen=True)
class Shelves:
    """A catalogue, what readers did with it, and a model; immutable but for what readers do."""

    catalogue: Catalogue
    histories: Histories
    popularity: Popularity
    model: ItemModel | None
    rows: Rows
    ground: Ground
    counts: NDArray[np.float64]  # [positions], how popular each book was when they were sorted
    order: NDArray[np.int32]  # [positions], by popularity
    _by_category: dict[str, NDArray[np.int32]] = field(default_factory=dict)  # sorted when asked for

    @classmethod
    def arranged(
        cls, catalogue: Catalogue, histories: Histories, popularity: Popularity, model: ItemModel | None
    ) -> "Shelves":
        """Put everything in its place."""
        counts = popularity.counts(len(catalogue))
        order = popular_order(counts, catalogue.ids)
        rows = Rows.of(catalogue, model)
        ground = _ground(catalogue, model, rows, order)
        return cls(catalogue, histories, popularity, model, rows, ground, counts, order)

    def with_model(self, model: ItemModel | None) -> "Shelves":
        """Return them with another model."""
        if model is self.model:
            return self
        rows = Rows.of(self.catalogue, model)
        ground = _ground(self.catalogue, model, rows, self.order)
        return replace(self, model=model, rows=rows, ground=ground)

    def sorted_anew(self) -> "Shelves":
        """Return them by what readers did up to now."""
        counts = self.popularity.counts(len(self.catalogue))
        order = popular_order(counts, self.catalogue.ids)
        return replace(self, counts=counts, order=order, _by_category={})

    def with_catalogue(self, catalogue: Catalogue) -> "Shelves":
        """Return them with a catalogue made from theirs; its new books are the least popular for now."""
        added = np.arange(len(self.catalogue), len(catalogue), dtype=np.int32)
        rows = self.rows.extended(catalogue, self.model) if len(added) else self.rows
        order = np.append(self.order, added[np.argsort(catalogue.ids[added])])
        return replace(
            self,
            catalogue=catalogue,
            rows=rows,
            ground=_ground(catalogue, self.model, rows, order),
            counts=np.append(self.counts, np.zeros(len(added))),
            order=order,
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

    def taken_up(
        self, categories: Sequence[str], span: Span, before: Span | None, places: int
    ) -> list[Suggestion]:
        """Return the books most taken up in a span of time, with how much they were.

        With another span, of the same length: those that rose most since then.
        """
        counts = self.popularity.counts(len(self.catalogue), span)
        if before is not None:
            earlier = self.popularity.counts(len(self.catalogue), before)
            # A rise of what is read a hundred times is told from chance by its square root.
            counts = np.maximum((counts - earlier) / np.sqrt(earlier + 1), 0)
        among = self.within(np.flatnonzero(counts).astype(np.int32), categories)
        best = most_popular(counts, self.catalogue.ids, among, places).tolist()
        found = ((self.catalogue.at(position), float(counts[position])) for position in best)
        return [Suggestion(book, count) for book, count in found if book]


def _ground(catalogue: Catalogue, model: ItemModel | None, rows: Rows, order: NDArray[np.int32]) -> Ground:
    return Ground.of(catalogue, model, rows, content_neighbours(catalogue, model, rows.row_of, order))


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
