"""Keeps the mirror of the database: written where there is none, mapped, renewed when it is old.

A new mirror is written by whichever process comes first; the others map what it wrote. Knows no gRPC.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from numpy.typing import NDArray

from service.domain.catalogue import Catalogue
from service.domain.errors import Unavailable
from service.domain.histories import Histories
from service.domain.popularity import Popularity
from service.domain.recommender import Recommender
from service.following import Shop, catch_up
from service.mirror import Mirror, MirrorError, build, current_version, prune, sole_builder
from service.models.mapped_arrays import give_back
from service.storage import Database, StorageError

# Learned reader by reader, so many interactions take longer than a new mirror does.
_LARGE_NEWS = 200_000
# A mirror that another process wrote is taken up within this time; a mirror's age is counted in hours.
_LOOK_SECONDS = 5.0
# Writing one that fails half-way, on a full disk perhaps, is a burden to others on the machine.
_PAUSE_SECONDS = 300.0
_JOIN_SECONDS = 2.0  # a mirror that is being written is left behind half, and cleared away by the next writer

_log = logging.getLogger("recommendations.mirror")


class MirrorKeeper:
    """The mirror in a directory, and a thread that renews it; a context manager that ends the thread."""

    def __init__(self, database: Database, directory: Path, hours: float, kept_answers: int) -> None:
        """Prepare; a mirror is written anew at an age of so many hours."""
        self._database, self._directory = database, directory
        self._seconds, self._kept_answers = hours * 3600, kept_answers
        self._version, self._due = "", 0.0
        self._complaint = ""
        self._counted: tuple[NDArray, ...] = ()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def open(self) -> Shop:
        """Return the shop as the database has it now; where no mirror there will do, one is written first.

        Raises MirrorError where none can be written, Unavailable or StorageError where the database cannot be
        read.
        """
        mirror = self._usable() or self._written()
        shop = self._shop(mirror)
        return Shop(shop.recommender, catch_up(self._database, *shop))

    def _written(self) -> Mirror:
        try:
            with sole_builder(self._directory):
                # Another process may have written one meanwhile.
                return self._usable() or self._built()
        except MirrorError as error:
            # Better a start that takes longer than none.
            mirror = self._usable(most_news=None)
            if mirror is None:
                raise
            _log.warning("%s; the old mirror is brought up to date instead", error)
            return mirror

    def start(self, renew: Callable[[Shop], None]) -> None:
        """Keep looking for a newer mirror, or write one when it is time; `renew` takes what is in it."""
        self._thread = threading.Thread(target=self._run, args=(renew,), name="mirror", daemon=True)
        self._thread.start()

    def _run(self, renew: Callable[[Shop], None]) -> None:
        while not self._stop.wait(min(_LOOK_SECONDS, self._seconds)):
            for array in self._counted:
                give_back(array)
            try:
                if mirror := self._newer():
                    renew(self._shop(mirror))
                self._complaint = ""
            except (MirrorError, StorageError, Unavailable) as error:
                # Once: it will fail again every few seconds until somebody mends it.
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    _log.error("%s; the mirror in use is kept", error)
            except Exception:  # noqa: BLE001 - without this thread forgotten readers would never leave the files
                _log.exception("renewing the mirror failed")

    def _newer(self) -> Mirror | None:
        due = time.monotonic() >= self._due
        try:
            if mirror := self._others():
                return mirror
        except MirrorError:
            # Somebody may mend it; but forgotten readers do not stay in the files until somebody does.
            if not due:
                raise
        if not due:
            return None
        with sole_builder(self._directory):
            try:
                # Another process may have written one meanwhile.
                mirror = self._others()
            except MirrorError as error:
                _log.warning("%s; a new mirror is written", error)
                mirror = None
            if mirror is None:
                self._due = time.monotonic() + min(self._seconds, _PAUSE_SECONDS)  # unless it works
                mirror = self._built()
            return mirror

    def _others(self) -> Mirror | None:
        """Map the current mirror where it is not the one in use."""
        version = current_version(self._directory)
        return None if version in (None, self._version) else self._mapped(version)

    def _usable(self, most_news: int | None = _LARGE_NEWS) -> Mirror | None:
        """Map the current mirror where the database can tell what happened since, unless it is too much."""
        try:
            version = current_version(self._directory)
            if version is None:
                return None
            mirror = self._mapped(version)
            with self._database.reading() as reading:
                news = reading.news(mirror.mark)
                large = most_news is not None and news.interaction_count() > most_news
        except (MirrorError, StorageError) as error:
            _log.warning("%s; a new mirror is written", error)
            return None
        return None if large else mirror

    def _mapped(self, version: str) -> Mirror:
        return Mirror.open(self._directory, version, self._database.identity)

    def _built(self) -> Mirror:
        started = time.monotonic()
        with self._database.reading(patient=True) as reading:
            version = build(reading, self._directory, identity=self._database.identity)
        prune(self._directory)
        _log.info("mirror %s written in %.1f s", version, time.monotonic() - started)
        return self._mapped(version)

    def _shop(self, mirror: Mirror) -> Shop:
        self._version = mirror.version
        # From here on by a clock that nobody sets; a mirror from the future counts as new.
        age_seconds = max(0.0, time.time() - mirror.written_at / 1e6)
        self._due = time.monotonic() + self._seconds - age_seconds
        popularity = mirror.popularity
        # Counting a long time passes over all interactions, and the counts are kept: their pages need not be.
        self._counted = (popularity.times, popularity.positions, popularity.codes)
        recommender = Recommender(
            Catalogue(mirror.catalogue),
            Histories(mirror.events),
            Popularity(popularity),
            kept_answers=self._kept_answers,
        )
        return Shop(recommender, mirror.mark)
