"""What every ranking of a shop rests on, as the kernel takes it: arrays alone."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.catalogue import Catalogue
from service.domain.content import NO_CONTENT, ContentNeighbours
from service.domain.grouping import editions, series
from service.domain.model import NO_FACTORS, NO_SCALES, NO_TARGETS, ItemModel, RankingSettings
from service.domain.ranking.layout import laid_out

_NO_FACTORS = (NO_FACTORS, NO_TARGETS, NO_SCALES)


class Ground(NamedTuple):
    """A model as a catalogue sees it; all arrays read-only, which is what the kernel was compiled for.

    Positions are those of the catalogue, n of them. Slots are where scores are summed: first the rows of the
    model, b of them, by which it numbers neighbours, then one for each book that it does not know.
    """

    ids: NDArray[np.int64]  # [n]
    category_bits: NDArray[np.uint64]  # [n, words]
    slot_of: NDArray[np.int32]  # [n]
    position_of: NDArray[np.int32]  # [slots], -1 for books that are gone
    indptr: NDArray[np.int64]  # [b + 1]
    indices: NDArray[np.int32]  # rows
    weights: NDArray[np.float32]
    source_factors: NDArray[np.float32]  # [b, d]; d = 0: no re-rank
    target_factors: NDArray[np.int8]  # [b, d]
    target_scales: NDArray[np.float32]  # [b]
    recency: NDArray[np.float32]  # [longest history], the weight of each step from the end
    resistance: NDArray[np.float32]  # [longest history], its part of the fold-in's diagonal
    content_starts: NDArray[
        np.int64
    ]  # [n + 1], neighbours by content of each position; [1] where there are none
    content_targets: NDArray[np.int32]  # positions
    content_weights: NDArray[np.float32]
    work_of: NDArray[np.int32]  # [n], see Groups
    work_starts: NDArray[np.int64]
    work_members: NDArray[np.int32]
    series_of: NDArray[np.int32]  # [n]
    series_starts: NDArray[np.int64]
    series_members: NDArray[np.int32]
    series_volumes: NDArray[np.float32]
    layout: NDArray[np.int64]  # of all of these, see there

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        model: ItemModel | None,
        rows: "Rows",
        content: ContentNeighbours = NO_CONTENT,
    ) -> "Ground":
        """Put a model and a catalogue together."""
        works, volumes = editions(catalogue.traits), series(catalogue.traits)
        settings = model.ranking if model else RankingSettings()
        steps = 1 + np.arange(settings.longest_history, dtype=np.float64)
        arrays: tuple[NDArray[Any], ...] = (
            catalogue.ids,
            catalogue.category_bits,
            *_slots(rows),
            *_learned(model),
            (steps**-settings.recency_exponent).astype(np.float32),
            (steps**settings.fold_in_exponent).astype(np.float32),
            content.starts,
            content.targets,
            content.weights,
            *works[:3],
            *volumes,
        )
        for (name, annotation), array in zip(cls.__annotations__.items(), arrays, strict=False):
            # The kernel takes memory for what it was compiled for.
            if array.dtype != (dtype := annotation.__args__[1].__args__[0]):
                raise TypeError(f"{name}: is of {array.dtype}, not {np.dtype(dtype)}")
        return cls(*laid_out([_readonly(array) for array in arrays]))


class Rows(NamedTuple):
    """How positions of a catalogue and rows of a model are translated; -1 where there is none."""

    row_of: NDArray[np.int32]  # [positions]
    position_of: NDArray[np.int32]  # [rows]

    @classmethod
    def of(cls, catalogue: Catalogue, model: ItemModel | None) -> "Rows":
        """Look up every book of the model."""
        row_of = np.full(len(catalogue), -1, dtype=np.int32)
        if model is None:
            return cls(row_of, np.empty(0, dtype=np.int32))
        position_of = catalogue.positions_of_array(np.asarray(model.book_ids))
        known = np.flatnonzero(position_of >= 0)
        row_of[position_of[known]] = known
        return cls(row_of, position_of)

    def extended(self, catalogue: Catalogue, model: ItemModel | None) -> "Rows":
        """Return them also for the books that were added to the catalogue, which alone are looked up."""
        known = len(self.row_of)
        row_of = np.append(self.row_of, np.full(len(catalogue) - known, -1, dtype=np.int32))
        if model is None or not len(model.book_ids):
            return Rows(row_of, self.position_of)
        rows = np.searchsorted(model.book_ids, catalogue.ids[known:])
        rows[rows == len(model.book_ids)] = 0
        learned = np.flatnonzero(model.book_ids[rows] == catalogue.ids[known:])
        row_of[known + learned] = rows[learned]
        position_of = self.position_of.copy()
        position_of[rows[learned]] = known + learned
        return Rows(row_of, position_of)


def _slots(rows: Rows) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    slot_of = rows.row_of.copy()
    unknown = np.flatnonzero(slot_of < 0)
    slot_of[unknown] = len(rows.position_of) + np.arange(len(unknown))
    return slot_of, np.append(rows.position_of, unknown.astype(np.int32))


def _learned(model: ItemModel | None) -> tuple[NDArray, ...]:
    if model is None:
        return (
            np.zeros(1, dtype=np.int64),
            np.empty(0, dtype=np.int32),
            np.empty(0, dtype=np.float32),
            *_NO_FACTORS,
        )
    factors = (model.source_factors, model.target_factors, model.target_scales)
    if not all(each.size for each in factors):
        factors = _NO_FACTORS
    return model.indptr, model.indices, model.weights, *factors


def _readonly(array: Any) -> NDArray[Any]:
    # Mapped arrays are handed on as plain ones over the same pages.
    view = np.ascontiguousarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view
