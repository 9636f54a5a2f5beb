"""Values that are kept while what they were worked out from is the same; knows nothing of what they are."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """At most so many values by key, each with the objects that it rests on.

    A value is given back only while it is asked for with those very objects: they are immutable, and whoever
    changes something makes a new one. When it is full it starts anew, which costs no book-keeping on the way.
    Any number of threads may ask.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[Hashable, tuple[object, object, Value]] = {}

    def get(self, key: Hashable, basis: object, other_basis: object = None) -> Value | None:
        """Return the value, or None where there is none that rests on these objects."""
        kept = self._kept.get(key)
        if kept is None or kept[0] is not basis or kept[1] is not other_basis:
            return None
        return kept[2]

    def put(self, key: Hashable, value: Value, basis: object, other_basis: object = None) -> None:
        """Keep a value."""
        if len(self._kept) >= self._most:
            self._kept.clear()
        if self._most:
            self._kept[key] = (basis, other_basis, value)

    def clear(self) -> None:
        """Forget every value, and let go of what they rest on."""
        self._kept.clear()
