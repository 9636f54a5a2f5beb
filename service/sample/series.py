"""Lets made-up readers follow series and keep to one edition of a work; knows nothing of what else they like.

A key tells how much a reader is drawn to a book, minus infinity where they cannot read it; readers take up
the books with the greatest keys.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book

# In units of the noise in the keys.
NEXT_VOLUME_CHANCE = 0.6  # that a reader goes on with a series after a volume
NEXT_VOLUME_COST = 0.3  # who goes on takes up the next volume almost as surely as the one before

# Series; each lists its volumes in order, each volume its editions as places in the catalogue.
Series = list[list[list[int]]]


def series_in_order(books: Sequence[Book]) -> Series:
    """List the series whose volumes have positions, by name."""
    volumes: dict[str, dict[float, list[int]]] = {}
    for place, book in enumerate(books):
        if book.series and book.series_position:
            volumes.setdefault(book.series, {}).setdefault(book.series_position, []).append(place)
    return [[editions for _, editions in sorted(found.items())] for _, found in sorted(volumes.items())]


def follow_series(keys: NDArray[np.float32], series: Series, random: np.random.Generator) -> None:
    """Raise the next volume's key to nearly that of the volume before, for readers who go on."""
    for volumes in series:
        for before, following in itertools.pairwise(volumes):
            goes_on = random.random(len(keys)) < NEXT_VOLUME_CHANCE
            carried = np.where(goes_on, keys[:, before].max(axis=1) - NEXT_VOLUME_COST, -np.inf)
            for place in following:
                can_read = np.isfinite(keys[:, place])
                keys[:, place] = np.where(can_read, np.maximum(keys[:, place], carried), -np.inf)


def keep_one_edition(keys: NDArray[np.float32], books: Sequence[Book]) -> None:
    """Leave each reader the edition of a work with the greatest key."""
    editions: dict[int, list[int]] = {}
    for place, book in enumerate(books):
        if book.work_id:
            editions.setdefault(book.work_id, []).append(place)
    for places in editions.values():
        best = keys[:, places].argmax(axis=1)
        for number, place in enumerate(places):
            keys[best != number, place] = -np.inf


def put_series_in_order(order: NDArray[np.float64], chosen: NDArray[np.bool_], series: Series) -> None:
    """Move each volume's place in a reader's time behind the volumes before it that they take up.

    At most one edition of a volume may be chosen by a reader.
    """
    for volumes in series:
        latest = np.full(len(order), -np.inf)
        for editions in volumes:
            for place in editions:
                order[:, place] = np.maximum(order[:, place], np.nextafter(latest, np.inf))
            for place in editions:
                latest = np.where(chosen[:, place], order[:, place], latest)
