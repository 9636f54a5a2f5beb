"""The ids of answers: what an answer was tells itself to every replica, without a look-up; knows no protobuf.

`<this process>-<count>-<strategy><model>`: twelve random hex digits, a hex number, a letter, and the digits
that a model's version ends with, none where there was no model.
"""

import itertools
import re
import secrets
from typing import NamedTuple

from service.domain.answers import Strategy

SIMILAR = "similar"  # SimilarBooks has a way of its own

_LETTERS = {
    Strategy.PERSONAL: "p",
    Strategy.STALE: "t",
    Strategy.SESSION: "s",
    Strategy.POPULAR: "o",
    Strategy.DEGRADED: "d",
    SIMILAR: "i",
}
_STRATEGIES = {letter: strategy for strategy, letter in _LETTERS.items()}
_FORM = re.compile(r"[0-9a-f]{12}-[0-9a-f]{1,16}-([ptsodi])([0-9a-f]{8})?")
# Knuth's multiplicative hashing spreads counts evenly over 32 bits.
_HASH, _HASH_MASK = 2_654_435_761, 0xFFFF_FFFF


class Origin(NamedTuple):
    """What an answer's id tells of it."""

    strategy: str
    model_digits: str  # empty where there was no model


class AnswerIds:
    """Makes the ids of a process, and chooses which answers are sampled. Any number of threads may ask."""

    def __init__(self, sampled_ratio: float) -> None:
        """Begin; `sampled_ratio` of the answers, 0 to 1, are sampled."""
        self._process = secrets.token_hex(6)
        self._count = itertools.count(1)
        self._sampled_below = int(sampled_ratio * (_HASH_MASK + 1))

    def issue(self, strategy: str, model_version: str) -> tuple[str, bool]:
        """Return a new id, and whether its answer is sampled."""
        count = next(self._count)
        name = f"{self._process}-{count:x}-{_LETTERS[strategy]}{model_version[-8:]}"
        return name, (count * _HASH & _HASH_MASK) < self._sampled_below


def origin_of(answer_id: str) -> Origin | None:
    """Return what an id tells; None for one that was not made here."""
    found = _FORM.fullmatch(answer_id)
    return Origin(str(_STRATEGIES[found[1]]), found[2] or "") if found else None
