"""The service's log: JSON lines on one stream, from the access log and from the logging module alike."""

import json
import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Self, TextIO

_LOGGER = "recommendations"
_PAUSE_SECONDS = 0.02
# PIPE_BUF of Linux: what is written at once, up to this, no other worker's lines can break into.
_MOST_BYTES_AT_ONCE = 4096
# Seconds of full load. A pipe that nobody reads must not fill memory: then the oldest lines go.
_MOST_WAITING_LINES = 50_000
# The stream may be such a pipe; the exit does not wait for it.
_JOIN_SECONDS = 1.0


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the fields that the access log uses too."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[1]:
            entry["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(entry, ensure_ascii=False)


def configure(level: str, stream: TextIO) -> None:
    """Send everything that is logged to a stream, libraries' warnings included."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(_LOGGER).setLevel(level.upper())
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread  # Python's own writes lines that are no JSON


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread else "unknown"
    logging.getLogger(_LOGGER).error("thread %s ended", name, exc_info=ended.exc_value)


class LineWriter:
    """Writes lines to a stream a few at a time, from a thread of its own; a context manager that ends it.

    A system call in every RPC hands the interpreter to another thread and waits to get it back: more than the
    rest of a log line costs. A line is late by `_PAUSE_SECONDS` at most; what a kill -9 loses is as much.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=_MOST_WAITING_LINES)
        self.write = self._lines.append
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        if not self._lines:
            return
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        try:
            for piece in _pieces(lines):
                self._stream.write(piece)
                self._stream.flush()
        except (OSError, ValueError):
            # A full disk or a closed pipe must not end this thread; there is nowhere left to say so.
            return


def _pieces(lines: Iterable[str]) -> Iterator[str]:
    """Join lines to pieces that are written at once; a longer line is a piece of its own."""
    piece: list[str] = []
    free = _MOST_BYTES_AT_ONCE
    for line in lines:
        size = len(line.encode())
        if piece and size > free:
            yield "".join(piece)
            piece, free = [], _MOST_BYTES_AT_ONCE
        piece.append(line)
        free -= size
    if piece:
        yield "".join(piece)
