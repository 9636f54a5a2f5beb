"""Ends connections to PostgreSQL on which nothing comes back; knows nothing of what is asked over them.

A server that hangs, instead of refusing, is noticed by no timeout of its own. When the socket is shut down
under it, the driver returns with a lost connection.
"""

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo

# How exact the limits are.
_LOOK_SECONDS = 0.1


@dataclass
class _Watched:
    wire: socket.socket  # of our own: the connection's may be closed at any moment, and its number used again
    seconds: float
    deadline: float
    is_patient: bool = False
    is_probed: bool = False


class Watchdog:
    """A thread that ends connections which were used for longer than they may be.

    Patient ones may be used for ever, as long as their server takes new connections: a large COPY or a new
    index takes minutes in which a sound server says nothing.
    """

    def __init__(self, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._watched: dict[psycopg.Connection, _Watched] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, connection: psycopg.Connection, seconds: float) -> None:
        """End the connection unless it is given back within so many seconds."""
        wire = socket.socket(fileno=socket.dup(connection.fileno()))
        with self._lock:
            self._drop(connection)
            self._watched[connection] = _Watched(wire, seconds, time.monotonic() + seconds)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="database-watchdog", daemon=True)
                self._thread.start()

    def renew(self, connection: psycopg.Connection) -> None:
        """Let the time of a connection that is watched begin anew: it has come to its next statement."""
        with self._lock:
            if watched := self._watched.get(connection):
                watched.deadline = time.monotonic() + watched.seconds

    def be_patient(self, connection: psycopg.Connection) -> None:
        """End the connection from now on only where its server takes no new ones."""
        with self._lock:
            if connection in self._watched:
                self._watched[connection].is_patient = True

    def forget(self, connection: psycopg.Connection) -> None:
        """Let the connection be."""
        with self._lock:
            self._drop(connection)

    def end(self) -> None:
        """Stop watching."""
        self._ending.set()

    def _drop(self, connection: psycopg.Connection) -> None:
        if watched := self._watched.pop(connection, None):
            watched.wire.close()

    def _run(self) -> None:
        while not self._ending.wait(_LOOK_SECONDS):
            now = time.monotonic()
            with self._lock:
                late = [each for each, watched in self._watched.items() if watched.deadline < now]
                for connection in late:
                    watched = self._watched[connection]
                    if connection.closed or not watched.is_patient:
                        self._end(connection)
                    elif not watched.is_probed:
                        watched.is_probed = True
                        # Of its own: a probe may take seconds, in which others are late.
                        threading.Thread(target=self._probe, args=(connection,), daemon=True).start()

    def _probe(self, connection: psycopg.Connection) -> None:
        answers = True
        try:
            # The very server, whichever of several it is, and in whatever state.
            at = connection.info
            where = make_conninfo(
                at.dsn,
                password=at.password,
                host=at.host,
                port=at.port,
                target_session_attrs="any",
                connect_timeout=max(1, round(self._connect_seconds)),
            )
            psycopg.connect(where).close()
        except psycopg.errors.ConnectionTimeout:
            answers = False
        except psycopg.Error:
            pass  # it answers, though with a refusal; or it is gone, and the connection ends by itself
        with self._lock:
            watched = self._watched.get(connection)
            if watched is None:
                return
            if answers:
                watched.deadline = time.monotonic() + watched.seconds
                watched.is_probed = False
            else:
                self._end(connection)

    def _end(self, connection: psycopg.Connection) -> None:
        with suppress(OSError):
            self._watched[connection].wire.shutdown(socket.SHUT_RDWR)
        self._drop(connection)
