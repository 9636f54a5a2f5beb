"""Interactions that are plainly in order, a chunk at a time; knows no format and leaves doubts to the rules.

A shortcut for speed: it may accept only what `checked_row` accepts, with the same outcome; a test holds the
two against each other.
"""

import struct
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

from service.domain.books import LARGEST_ID
from service.domain.interactions import (
    HIGHEST_RATING,
    LARGEST_CLOCK_SKEW_MICROSECONDS,
    LONGEST_INTERACTION_ID,
    LOWEST_RATING,
    PRINTABLE,
    InteractionType,
)
from service.importing.moments import moments_of_one_layout
from service.importing.sink import InteractionRow
from service.importing.values import EPOCH, EPOCH_UTC, MICROSECOND

TYPES = {
    name: int(kind)
    for kind in InteractionType
    for name in (kind.name, kind.name.lower(), kind.name.capitalize())
}

_HALF_STEPS = [step / 2 for step in range(int(LOWEST_RATING * 2), int(HIGHEST_RATING * 2) + 1)]
# Every way in which a rating is usually written; a number finds its place whether whole or not.
_RATINGS: dict[object, float | None] = {
    None: None,
    "": None,
    **{stars: stars for stars in _HALF_STEPS},
    **{str(stars): stars for stars in _HALF_STEPS},
    **{str(int(stars)): stars for stars in _HALF_STEPS if stars.is_integer()},
}
_RATING, _READ = int(InteractionType.RATING), int(InteractionType.READ)
_pack = struct.Struct("<qqBdq").pack
_ABSENT: tuple[object, ...] = (None, "")


def digest(
    reader_id: int,
    book_id: int,
    kind: int,
    rating: float | None,
    occurred_at: int | None,
    recommendation_id: str,
) -> str:
    """Name a row that has no interaction_id by its own values: 96 bits, alike only by chance of 1 in 10^11.

    That chance is for ten million rows. A row without a moment has none in its digest either: the time of the
    import would make a new one of it at every import.
    """
    row = _pack(
        reader_id,
        book_id,
        kind,
        0.0 if rating is None else rating,
        -1 if occurred_at is None else occurred_at,
    )
    return blake2b(row + recommendation_id.encode() if recommendation_id else row, digest_size=12).hexdigest()


def plain_rows(columns: Sequence[Sequence[Any]], known: set[int], now: int) -> list[InteractionRow] | None:
    """Read a chunk of INTERACTION_COLUMNS at once; None where any row of it needs a closer look."""
    readers, books, kinds, ratings, moments, ids, recommendations = columns
    if not readers:
        return []
    try:
        reader_ids, book_ids = _whole_numbers(readers), _whole_numbers(books)
        if reader_ids is None or book_ids is None or not known.issuperset(book_ids):
            return None
        if min(reader_ids) < 1 or max(reader_ids) > LARGEST_ID:
            return None
        stars = _stars(ratings)
        if stars is None:
            return None
        types = _types(kinds, stars)
        if any((kind == _RATING) != (given is not None) for kind, given in zip(types, stars, strict=True)):
            return None
        occurred, is_given = _moments(moments, now)
        if occurred is None or min(occurred) < 0 or max(occurred) > now + LARGEST_CLOCK_SKEW_MICROSECONDS:
            return None
        origins = _identifiers(recommendations)
        if origins is None:
            return None
        given = [None] * len(occurred) if not is_given else occurred
        names = _identifiers(ids)
        if names is None:
            return None
        if not all(names):
            digests = map(digest, reader_ids, book_ids, types, stars, given, origins)
            names = [name or made for name, made in zip(names, digests, strict=True)]
    except (KeyError, TypeError, ValueError, OverflowError):  # a value of an unexpected kind
        return None
    return list(zip(names, reader_ids, book_ids, types, stars, occurred, origins, strict=True))


def _whole_numbers(column: Sequence[Any]) -> list[int] | None:
    kinds = set(map(type, column))
    if kinds == {int}:
        return list(column)
    if kinds == {str}:
        digits = "".join(column)
        # int() alone would also take "1_000", blanks around it and digits of other scripts.
        return list(map(int, column)) if digits.isascii() and digits.isdigit() else None
    return None


def _stars(column: Sequence[Any]) -> list[float | None] | None:
    if bool in set(map(type, column)):  # True would be found as 1
        return None
    return [_RATINGS[given] for given in column]


def _types(column: Sequence[Any], stars: Sequence[float | None]) -> list[int]:
    if all(kind in _ABSENT for kind in column):
        return [_READ if given is None else _RATING for given in stars]
    return [TYPES[kind] for kind in column]


def _moments(column: Sequence[Any], now: int) -> tuple[list[int] | None, bool]:
    kinds = set(map(type, column))
    if all(given in _ABSENT for given in column):
        return [now] * len(column), False
    if kinds == {datetime}:
        return [(given - EPOCH_UTC) // MICROSECOND for given in column], True
    if kinds == {str}:
        alike = moments_of_one_layout(column)
        if alike is not None:
            return alike, True
    seconds = _whole_numbers(column)
    if seconds is not None:
        return [given * 1_000_000 for given in seconds], True
    if kinds == {float}:
        return [round(given * 1_000_000) for given in column], True
    if kinds == {str}:
        # A moment without a zone cannot be subtracted from one with a zone: TypeError.
        return [(datetime.fromisoformat(given) - EPOCH) // MICROSECOND for given in column], True
    return None, False


def _identifiers(column: Sequence[Any]) -> list[str] | None:
    if all(given in _ABSENT for given in column):
        return [""] * len(column)
    texts = ["" if given is None else given for given in column]
    if set(map(type, texts)) != {str} or max(map(len, texts)) > LONGEST_INTERACTION_ID:
        return None
    return texts if PRINTABLE.fullmatch("".join(texts)) else None
