"""Named conditions that together decide whether the service is ready.

Knows nothing of what a condition means, of who sets it, nor of who asks.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

# Once set false it stays false: a service that drains must not attract calls again.
NOT_DRAINING = "not_draining"


class Conditions:
    """A fixed set of named conditions, all false at first; ready when all but advisory ones are true.

    Thread-safe.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        advisory: Sequence[str] = (),
        registry: CollectorRegistry | None = None,
    ) -> None:
        """Begin with these; advisory ones are told like the others and have no say in whether it is ready."""
        self._lock = threading.Lock()
        self._advisory = frozenset(advisory)
        names = [*names, *advisory]
        self._values = dict.fromkeys(names, False)
        self._reasons = dict.fromkeys(names, "not yet")
        self._drains = False
        self._listener: Callable[[bool], None] | None = None
        self._gauge = Gauge(
            "recommendations_condition", "1 while the condition holds.", ["condition"], registry=registry
        )
        for name in names:
            self._gauge.labels(name).set(0)

    def set(self, name: str, value: bool, reason: str = "") -> None:
        """Say that a condition holds, or that it does not and why; `not_draining` never holds again.

        Raises ValueError for a name that was not given at construction.
        """
        with self._lock:
            if name not in self._values:
                raise ValueError(f"condition {name!r} is not one of {', '.join(self._values)}")
            if name == NOT_DRAINING:
                if self._drains:
                    return
                self._drains = not value
            self._values[name] = value
            self._reasons[name] = reason
            self._gauge.labels(name).set(value)
            if self._listener is not None:
                self._listener(self._all())

    @property
    def ready(self) -> bool:
        """Whether all conditions hold."""
        with self._lock:
            return self._all()

    def describe(self) -> dict[str, Any]:
        """Return {"ready": bool, "conditions": {name: {"value": bool, "reason": str}}}, all of one moment."""
        with self._lock:
            conditions = {
                name: {"value": value, "reason": self._reasons[name]} for name, value in self._values.items()
            }
            return {"ready": self._all(), "conditions": conditions}

    def listen(self, listener: Callable[[bool], None]) -> None:
        """Tell the one listener whether all hold, now and at every `set`, in order. It must not wait."""
        with self._lock:
            self._listener = listener
            listener(self._all())

    def _all(self) -> bool:
        return all(value for name, value in self._values.items() if name not in self._advisory)
