"""Whether a database can be used just now, for all threads of a process; knows no tables and no product."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.domain.errors import Unavailable
from service.storage.products import Product

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
# Between attempts at a transaction that met another one; the first comes at once.
_FIRST_PAUSE_SECONDS = 0.02
# While a database is away, one caller in this time finds out whether it is back; the others are told at once.
_PROBE_SECONDS = 0.5

Value = TypeVar("Value")


class Availability:
    """What is known of a database's health: keeps callers from waiting for one that is away.

    All methods raise the domain's Unavailable where asking again makes sense, and StorageError where an
    operator must mend the data first.
    """

    def __init__(self, product: Product) -> None:
        self._product = product
        self._away_until = 0.0  # 0: it is not
        self._probing = threading.Lock()
        self._trouble: str | None = None
        self._is_away = False

    def attempt(self, work: Callable[[], Value], *, writes: bool) -> Value:
        """Do the work, again where that can help, for as long as a statement may take.

        A lost connection is replaced once: a second loss means that the server is away. The work must be safe
        to repeat: one transaction that leaves nothing behind when it fails, or finds itself done when only
        the answer to its commit was lost.
        """
        deadline = time.monotonic() + self._product.statement_seconds
        pause = 0.0
        was_lost = False
        with self._admitted():
            while True:
                try:
                    done = self._explained(work)
                    break
                except Unavailable as unavailable:
                    cause = _driver_error(unavailable)
                    is_lost = self._product.is_away(cause)
                    if (
                        not self._product.should_retry(cause)
                        or (was_lost and is_lost)
                        or time.monotonic() + pause > deadline
                    ):
                        self._tell_of(cause)
                        raise
                    was_lost |= is_lost
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                pause = max(_FIRST_PAUSE_SECONDS, 2 * pause)
        self._tell_success(writes=writes)
        return done

    @contextmanager
    def using(self) -> Iterator[None]:
        """Explain what goes wrong in a block that cannot be repeated."""
        try:
            with self._explaining():
                yield
        except Unavailable as unavailable:
            self._tell_of(_driver_error(unavailable))
            raise

    def tell(self, reason: str) -> None:
        """Log what an operator must mend, once for each kind: every refused call would say the same."""
        if reason != self._trouble:
            self._trouble = reason
            log.error("%s %s", self._product.label, reason)

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if not self._away_until:
            yield
        elif time.monotonic() < self._away_until or not self._probing.acquire(blocking=False):
            # Else every caller would wait for a server that hangs.
            raise Unavailable("the database cannot be used right now", _RETRY_SECONDS)
        else:
            try:
                yield
            finally:
                self._probing.release()

    def _explained(self, work: Callable[[], Value]) -> Value:
        with self._explaining():
            return work()

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeoutError:
            raise Unavailable("the database is busy", _RETRY_SECONDS) from None
        except Exception as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if self._product.is_away(cause):
                self._away_until = time.monotonic() + _PROBE_SECONDS
            if self._product.needs_new_connections(cause):
                self._product.engine.dispose()
            explained = self._product.explain(cause)
            if explained is None:
                raise
            raise explained from error
        else:
            self._away_until = 0.0

    def _tell_of(self, cause: BaseException | None) -> None:
        if reason := self._product.trouble(cause):
            self._is_away = self._product.is_away(cause)
            self.tell(reason)

    def _tell_success(self, *, writes: bool) -> None:
        # What can be read is not away any more, though its disk may be full.
        if self._trouble and (writes or self._is_away):
            log.info("%s can be used again", self._product.label)
            self._trouble = None


def _driver_error(unavailable: Unavailable) -> BaseException | None:
    cause = unavailable.__cause__
    return cause.orig if isinstance(cause, DBAPIError) else cause
