"""What readers do with books, its rules and its weights; knows nothing of storage or of the catalogue."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from service.domain.books import LARGEST_ID, quoted
from service.domain.errors import Violation

LONGEST_INTERACTION_ID = 64
LOWEST_RATING, HIGHEST_RATING = 1.0, 5.0
# Shops' clocks drift; more than this is a mistake in the caller's time zone or unit.
LARGEST_CLOCK_SKEW_MICROSECONDS = 5 * 60 * 1_000_000

PRINTABLE = re.compile(r"[\x21-\x7e]+")


class InteractionType(IntEnum):
    """What was done; numbers as in the v1 contract."""

    VIEW = 1
    WISHLIST = 2
    PURCHASE = 3
    READ = 4
    RATING = 5
    REMOVE = 6
    NOT_INTERESTED = 7


# A book that was bought, read or rated is not recommended to the same reader again.
READ_TYPES = frozenset({InteractionType.PURCHASE, InteractionType.READ, InteractionType.RATING})

IS_READ_TYPE = np.array([kind in READ_TYPES for kind in range(1 + max(InteractionType))])


# An event's code in memory is its type's number; a rating's with its figure is this plus twice the figure.
RATING_CODE = 16


@dataclass(frozen=True, slots=True)
class Interaction:
    """One thing a reader did; `occurred_at` in microseconds since 1970 UTC."""

    interaction_id: str
    reader_id: int
    book_id: int
    type: InteractionType
    occurred_at: int
    rating: float | None = None
    recommendation_id: str = ""


@dataclass(frozen=True, slots=True)
class InteractionLog:
    """Interactions as columns of one length, in the order in which they were stored."""

    reader_ids: NDArray[np.int64]
    book_ids: NDArray[np.int64]
    types: NDArray[np.uint8]
    ratings: NDArray[np.float32]  # NaN where there is none
    occurred_at: NDArray[np.int64]  # microseconds since 1970 UTC

    def __len__(self) -> int:
        return len(self.reader_ids)

    @classmethod
    def of(cls, interactions: Sequence[Interaction]) -> "InteractionLog":
        """Make columns of interactions, in their order."""
        ratings = [math.nan if each.rating is None else each.rating for each in interactions]
        return cls(
            np.array([each.reader_id for each in interactions], dtype=np.int64),
            np.array([each.book_id for each in interactions], dtype=np.int64),
            np.array([each.type for each in interactions], dtype=np.uint8),
            np.array(ratings, dtype=np.float32),
            np.array([each.occurred_at for each in interactions], dtype=np.int64),
        )

    def followed_by(self, other: "InteractionLog") -> "InteractionLog":
        """Return the interactions of both, those of the other one last."""
        return InteractionLog(
            np.concatenate((self.reader_ids, other.reader_ids)),
            np.concatenate((self.book_ids, other.book_ids)),
            np.concatenate((self.types, other.types)),
            np.concatenate((self.ratings, other.ratings)),
            np.concatenate((self.occurred_at, other.occurred_at)),
        )

    def by_time(self) -> "InteractionLog":
        """Return the interactions by the time they occurred, those of one instant as they were stored."""
        return self.take(np.argsort(self.occurred_at, kind="stable"))

    def take(self, chosen: NDArray) -> "InteractionLog":
        """Return the interactions at these places, or where this mask is true."""
        return InteractionLog(
            self.reader_ids[chosen],
            self.book_ids[chosen],
            self.types[chosen],
            self.ratings[chosen],
            self.occurred_at[chosen],
        )


def event_codes(types: NDArray[np.uint8], ratings: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return one byte for each interaction that holds its type and its rating."""
    rated = (types == InteractionType.RATING) & ~np.isnan(ratings)
    halves = 2 * np.clip(np.nan_to_num(ratings), LOWEST_RATING, HIGHEST_RATING)
    return np.where(rated, RATING_CODE + halves, types).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class InteractionWeights:
    """How strongly what readers do speaks for its book, a READ being 1, and how that wanes with age."""

    view: float = 0.2
    wishlist: float = 0.5
    purchase: float = 1.0
    # Age is counted back from the reader's latest interaction: who comes back after a year is who they were.
    half_life_days: float | None = None  # None: what is old counts like what is new, but for its place

    @property
    def codes(self) -> NDArray[np.float32]:
        """Return by code how strongly an event by itself speaks for its book, 0 (not at all) to 1.

        A rating of 5 counts 1.0, of 3 counts 0.5, of 1 nothing; one without its figure counts as a read.
        """
        return _code_weights(self)


@cache
def _code_weights(weights: InteractionWeights) -> NDArray[np.float32]:
    codes = np.zeros(256, dtype=np.float32)
    codes[InteractionType.VIEW] = weights.view
    codes[InteractionType.WISHLIST] = weights.wishlist
    codes[InteractionType.PURCHASE] = weights.purchase
    codes[InteractionType.READ] = codes[InteractionType.RATING] = 1
    for halves in range(int(2 * LOWEST_RATING), int(2 * HIGHEST_RATING) + 1):
        codes[RATING_CODE + halves] = (halves / 2 - LOWEST_RATING) / (HIGHEST_RATING - LOWEST_RATING)
    codes.flags.writeable = False
    return codes


DEFAULT_WEIGHTS = InteractionWeights()


def preference_weights(types: NDArray[np.uint8], ratings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tell how strongly each interaction by itself speaks for its book by default: 0 (not at all) to 1."""
    return DEFAULT_WEIGHTS.codes[event_codes(types, ratings)]


def id_violation(value: str) -> str | None:
    """Name the rule that a caller-chosen identifier breaks, or None."""
    if len(value) > LONGEST_INTERACTION_ID:
        return f"is longer than {LONGEST_INTERACTION_ID} characters"
    if not PRINTABLE.fullmatch(value):
        return "is not 1 to 64 printable ASCII characters without spaces"
    return None


def interaction_violations(interaction: Interaction, now: int, path: str = "") -> list[Violation]:
    """List every rule that an interaction breaks, the catalogue's aside.

    `now` is in microseconds since 1970 UTC; `path` leads the field names, as in "interactions[3].".
    """
    found: list[Violation] = []

    def refuse(field: str, value: object, rule: str) -> None:
        found.append(Violation(path + field, f"{quoted(value)} {rule}"))

    if rule := id_violation(interaction.interaction_id):
        refuse("interaction_id", interaction.interaction_id, rule)
    if not 1 <= interaction.reader_id <= LARGEST_ID:
        refuse("reader_id", interaction.reader_id, f"is not between 1 and {LARGEST_ID}")
    if not 1 <= interaction.book_id <= LARGEST_ID:
        refuse("book_id", interaction.book_id, f"is not between 1 and {LARGEST_ID}")
    if interaction.type == InteractionType.RATING:
        rating = interaction.rating
        if rating is None:
            found.append(Violation(path + "rating", "is missing; a RATING needs one"))
        elif not LOWEST_RATING <= rating <= HIGHEST_RATING or rating * 2 != int(rating * 2):
            refuse("rating", rating, "is not between 1 and 5 in steps of a half")
    elif interaction.rating is not None:
        refuse("rating", interaction.rating, f"goes with RATING alone, not with {interaction.type.name}")
    if interaction.occurred_at < 0:
        refuse("occurred_at", interaction.occurred_at, "is before 1970")
    elif interaction.occurred_at > now + LARGEST_CLOCK_SKEW_MICROSECONDS:
        refuse("occurred_at", interaction.occurred_at, "is more than 5 minutes in the future")
    if interaction.recommendation_id and (rule := id_violation(interaction.recommendation_id)):
        refuse("recommendation_id", interaction.recommendation_id, rule)
    return found
