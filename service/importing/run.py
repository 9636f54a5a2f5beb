"""One file into one transaction, chunk by chunk, bad rows refused or skipped; knows not what rows mean."""

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from service.importing.chunks import Chunk
from service.importing.columns import Column
from service.importing.problems import BadRow, ImportFailed, ImportReport
from service.importing.sink import Sink, Store
from service.importing.sources import chunks_of

Progress = Callable[[int, int], None]


class Rows(Protocol):
    """What rows mean: books or interactions, on their way into one transaction."""

    def sort(self, chunk: Chunk) -> tuple[Sequence[Any], list[BadRow]]:
        """Sort a chunk's rows into those to store and those that are refused, both in the file's order."""

    def keep(self, accepted: Sequence[Any]) -> None:
        """Hand rows on, maybe none. Another thread calls it, one call at a time."""

    def finish(self) -> tuple[int, int]:
        """Store what was handed on; returns how many rows were new and how many were there already."""


def run(
    path: Path,
    store: Store,
    layout: str,
    columns: Sequence[Column],
    rows_into: Callable[[Sink], Rows],
    *,
    skip_bad: bool,
    progress: Progress | None,
) -> ImportReport:
    """Import a file of a known layout; nothing is stored where this raises, ImportFailed or a store's."""
    report = ImportReport()
    total_bytes = path.stat().st_size
    with store.bulk() as sink, _collector_paused():
        rows = rows_into(sink)
        # One chunk is stored while the next is read: the database works outside the interpreter. The thread
        # is waited for before the transaction ends, either way.
        with ThreadPoolExecutor(1, thread_name_prefix="import") as storing:
            stored: Future[None] | None = None
            for chunk in chunks_of(path, layout, columns):
                accepted, refused = rows.sort(chunk)
                refused = sorted([*refused, *chunk.broken], key=lambda bad: bad.place)
                report.refuse(refused, path, skip_bad=skip_bad)
                if stored is not None:
                    stored.result()
                stored = storing.submit(rows.keep, accepted)
                if progress is not None:
                    progress(chunk.done_bytes, total_bytes)
            if stored is not None:
                stored.result()
        report.count(*rows.finish())
        if not report.rows:
            raise ImportFailed(f"{path} has no rows")
    return report


@contextmanager
def _collector_paused() -> Iterator[None]:
    # Rows are never part of a cycle, and looking for cycles among ten thousand of them at a time takes a
    # fifth of the time of reading a file.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
