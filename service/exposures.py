"""Stores a sample of what was shown, a moment later and off the request path; knows no protobuf."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from prometheus_client import CollectorRegistry, Counter

from service.domain.errors import Unavailable
from service.domain.exposures import Exposure

# A second's worth at a high rate; a database that is away for longer costs samples, never answers.
_MOST_WAITING = 10_000
_STORE_SECONDS = 1.0
_PRUNE_SECONDS = 3600.0
_JOIN_SECONDS = 2.0
_MICROSECONDS_A_DAY = 86_400 * 1_000_000

_log = logging.getLogger("recommendations.exposures")


class Store(Protocol):
    """What is needed of a database."""

    def record_exposures(self, shown: Sequence[Exposure]) -> None: ...
    def prune_exposures(self, before: int) -> int: ...


class Exposures:
    """A queue of answers and a thread that stores it; a context manager that ends the thread."""

    def __init__(
        self, store: Store, days: float, now: Callable[[], int], registry: CollectorRegistry
    ) -> None:
        """Prepare; answers are kept for so many days, `now` tells the time in µs since 1970 UTC."""
        self._store, self._now = store, now
        self._kept_microseconds = int(days * _MICROSECONDS_A_DAY)
        self._waiting: list[Exposure] = []
        counter = Counter(
            "recommendations_exposures", "Sampled answers, stored or dropped.", ["result"], registry=registry
        )
        self._stored, self._dropped = counter.labels("stored"), counter.labels("dropped")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="exposures", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def add(self, exposure: Exposure) -> None:
        """Let an answer be stored soon; dropped where too many wait. Never waits."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(exposure)
        else:
            self._dropped.inc()

    def _run(self) -> None:
        prune_at = time.monotonic()
        while not self._stop.wait(_STORE_SECONDS):
            self._flush()
            if time.monotonic() >= prune_at:
                prune_at = time.monotonic() + _PRUNE_SECONDS
                self._prune()
        self._flush()

    def _flush(self) -> None:
        shown, self._waiting = self._waiting, []
        if not shown:
            return
        try:
            self._store.record_exposures(shown)
        except Unavailable:
            self._dropped.inc(len(shown))
        except Exception:  # noqa: BLE001 - a sample is not worth ending the thread for
            self._dropped.inc(len(shown))
            _log.exception("%d sampled answers could not be stored", len(shown))
        else:
            self._stored.inc(len(shown))

    def _prune(self) -> None:
        try:
            self._store.prune_exposures(self._now() - self._kept_microseconds)
        except Unavailable:
            pass  # in an hour
        except Exception:  # noqa: BLE001 - as above
            _log.exception("old sampled answers could not be deleted")
