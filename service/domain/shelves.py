"""All that answers come from as it fits together at one time; knows no requests."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from service.domain.catalogue import Catalogue
from service.domain.histories import Histories
from service.domain.model import ItemModel
from service.domain.popularity import Popularity, popular_order
from service.domain.ranking import Neighbours


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
            neighbours=_neighbours(catalogue, self.model) if len(added) else self.neighbours,
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
            bits = self.catalogue.category_bits[self.order] & self.catalogue.wanted([slug])
            found = self._by_category[slug] = self.order[np.any(bits, axis=1)]
        return found


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
