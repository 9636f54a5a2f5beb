"""Vacuums tables of PostgreSQL in a thread of its own when it is asked to; knows no rows."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

from service.storage.postgres_errors import one_line

log = logging.getLogger(__name__)

# Whoever stops waits so long for the server to take note.
_END_SECONDS = 2.0
# Another vacuum of the table is waited for so long.
_LOCK_SECONDS = 60
# Indexes hold the reader's number too: without the option a few dead rows are left for later. The truncation
# of an empty end would keep everybody from the table for a moment.
_VACUUM = "VACUUM (INDEX_CLEANUP ON, TRUNCATE FALSE) {}"


class Vacuum:
    """A thread that vacuums, one table after the other, while someone has asked since it began."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection], tables: tuple[str, ...], label: str
    ) -> None:
        self._connect, self._tables, self._label = connect, tables, label
        self._lock = threading.Lock()
        self._wanted = self._ending = False
        self._thread: threading.Thread | None = None
        self._connection: psycopg.Connection | None = None

    def ask(self) -> None:
        """Vacuum as soon as can be; returns at once."""
        with self._lock:
            self._wanted = not self._ending
            if self._thread is None and self._wanted:
                self._thread = threading.Thread(target=self._run, name="database-vacuum", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Break off: what is not done is left to the server's own vacuuming."""
        with self._lock:
            self._ending, self._wanted = True, False
            thread, connection = self._thread, self._connection
        if connection is not None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=_END_SECONDS)
        if thread is not None:
            thread.join(_END_SECONDS)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._thread = None
                    return
                self._wanted = False
            try:
                self._vacuum()
            except Exception as error:  # noqa: BLE001 - best effort; the server vacuums by itself, later
                if not self._ending:
                    log.warning("%s: deleted rows are not vacuumed yet (%s)", self._label, one_line(error))

    def _vacuum(self) -> None:
        with self._connect() as connection:
            connection.autocommit = True
            # As long as it takes; `end` breaks it off.
            connection.execute("SET statement_timeout = 0")
            connection.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
            with self._lock:
                self._connection = connection
            try:
                for table in self._tables:
                    if not self._ending:
                        connection.execute(_VACUUM.format(table))
            finally:
                with self._lock:
                    self._connection = None
