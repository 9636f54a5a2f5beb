"""A mirror that was verified and is mapped, read-only; knows nothing of who answers from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.catalogue_pages import CataloguePages, word_count
from service.domain.histories import EventPages
from service.domain.interactions import HIGHEST_RATING, LOWEST_RATING, RATING_CODE, InteractionType
from service.domain.popularity import PopularityPages
from service.mirror import manifest as manifests
from service.mirror.array_files import StoredArray
from service.mirror.manifest import ARRAY_TYPES

# Which codes an event may have; see `event_codes`.
_IS_CODE = np.zeros(256, dtype=np.bool_)
_IS_CODE[list(InteractionType)] = True
_IS_CODE[RATING_CODE + int(2 * LOWEST_RATING) : RATING_CODE + int(2 * HIGHEST_RATING) + 1] = True


@dataclass(frozen=True, slots=True)
class Mirror:
    """One state of a database. The arrays are mapped: their memory is shared with all who map them."""

    version: str
    mark: str  # what of the database it holds
    written_at: int  # microseconds since 1970 UTC
    catalogue: CataloguePages
    events: EventPages
    popularity: PopularityPages

    @classmethod
    def open(cls, directory: Path, version: str, identity: str) -> "Mirror":
        """Verify a version that was written of the database of this identity, and map it.

        Costs a pass over the bytes, about a second a gigabyte, and no memory. Raises MirrorError where the
        files are not as they were written, or are of another format or database.
        """
        manifest = manifests.read(directory / version, identity)
        arrays = {
            name: StoredArray(directory / version / f"{name}.npy", kind, manifest["arrays"][name])
            for name, kind in ARRAY_TYPES.items()
        }
        _verify(arrays, manifest)
        mapped: dict[str, NDArray[Any]] = {name: array.mapped for name, array in arrays.items()}
        return cls(
            version,
            manifest["mark"],
            manifest["written_at"],
            CataloguePages(
                mapped["book_ids"],
                mapped["book_category_bits"],
                mapped["book_texts"],
                mapped["book_offsets"],
                tuple(manifest["slugs"]),
                tuple(manifest["book_counts"]),
            ),
            EventPages(
                mapped["reader_ids"],
                mapped["reader_starts"],
                mapped["event_positions"],
                mapped["event_codes"],
                mapped["event_times"],
            ),
            PopularityPages(
                mapped["popularity_totals"],
                mapped["popularity_times"],
                mapped["popularity_positions"],
                mapped["popularity_codes"],
            ),
        )


def _verify(arrays: dict[str, StoredArray], manifest: dict[str, Any]) -> None:
    """Check every byte against the manifest, and the rules that code without bounds checks relies on."""
    book_count = len(arrays["book_ids"].mapped)
    words = word_count(len(manifest["slugs"]))
    _ascends(arrays["book_ids"], strictly=True)
    _has_shape(arrays["book_category_bits"], (book_count, words))
    _verified(arrays["book_category_bits"])
    _has_shape(arrays["book_offsets"], (book_count + 1,))
    _ascends(arrays["book_offsets"], to=len(arrays["book_texts"].mapped))
    _verified(arrays["book_texts"])
    _ascends(arrays["reader_ids"], strictly=True)
    _has_shape(arrays["reader_starts"], (len(arrays["reader_ids"].mapped) + 1,))
    _ascends(arrays["reader_starts"], to=len(arrays["event_times"].mapped))
    _verified(arrays["event_times"])
    _has_shape(arrays["popularity_totals"], (book_count,))
    _verified(arrays["popularity_totals"])
    _ascends(arrays["popularity_times"])
    for prefix in ("event", "popularity"):  # not of one length: what is there twice counts for popularity
        event_count = len(arrays[f"{prefix}_times"].mapped)
        _has_shape(arrays[f"{prefix}_positions"], (event_count,))
        _has_shape(arrays[f"{prefix}_codes"], (event_count,))
        _are_positions(arrays[f"{prefix}_positions"], book_count)
        _are_codes(arrays[f"{prefix}_codes"])


def _verified(array: StoredArray) -> None:
    for _ in array.verified_blocks():
        pass


def _has_shape(array: StoredArray, shape: tuple[int, ...]) -> None:
    if array.mapped.shape != shape:
        raise array.broken(f"has the shape {list(array.mapped.shape)}, {list(shape)} fits the other files")


def _ascends(array: StoredArray, *, strictly: bool = False, to: int | None = None) -> None:
    """Check the order; with `to`, also that the array runs from 0 to it."""
    last: Any = None
    for block in array.verified_blocks():
        if last is None and to is not None and block[0] != 0:
            raise array.broken("does not begin with 0")
        joined = block if last is None else np.append(last, block)
        steps = joined[1:] <= joined[:-1] if strictly else joined[1:] < joined[:-1]
        if steps.any():
            raise array.broken("is not strictly ascending" if strictly else "descends")
        last = block[-1:]
    if to is not None and last[0] != to:
        raise array.broken(f"does not run up to {to}")


def _are_positions(array: StoredArray, book_count: int) -> None:
    for block in array.verified_blocks():
        if block.min() < 0 or block.max() >= book_count:
            raise array.broken(f"names a position outside 0 to {book_count - 1}")


def _are_codes(array: StoredArray) -> None:
    for block in array.verified_blocks():
        if not np.all(_IS_CODE[block]):
            raise array.broken("holds a code that no interaction has")
