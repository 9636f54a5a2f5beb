"""One file into one transaction, chunk by chunk, bad rows refused or skipped; knows not what rows mean."""

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.importing.chunks import Chunk
from service.importing.columns import Column
from service.importing.problems import BadRow, ImportFailed, ImportReport
from service.importing.sink import Sink, Store
from service.importing.sources import chunks_of

Progress = Callable[[int, int], None]
# Sorts a chunk's rows into those to store and those that are refused, both in the file's order.
Sorter = Callable[[Chunk], tuple[Sequence[Any], list[BadRow]]]
# Stores rows, maybe none; returns how many were new and how many were there already. Another thread calls it,
# one call at a time.
Keeper = Callable[[Sequence[Any]], tuple[int, int]]


def run(
    path: Path,
    store: Store,
    layout: str,
    columns: Sequence[Column],
    handlers: Callable[[Sink], tuple[Sorter, Keeper]],
    *,
    skip_bad: bool,
    progress: Progress | None,
) -> ImportReport:
    """Import a file of a known layout; nothing is stored where this raises, ImportFailed or a store's."""
    report = ImportReport()
    total_bytes = path.stat().st_size
    with store.bulk() as sink, _collector_paused():
        sort, keep = handlers(sink)
        # One chunk is stored while the next is read: the database works outside the interpreter. The thread
        # is waited for before the transaction ends, either way.
        with ThreadPoolExecutor(1, thread_name_prefix="import") as storing:
            stored: Future[tuple[int, int]] | None = None
            for chunk in chunks_of(path, layout, columns):
                accepted, refused = sort(chunk)
                refused = sorted([*refused, *chunk.broken], key=lambda bad: bad.place)
                report.refuse(refused, path, skip_bad=skip_bad)
                if stored is not None:
                    report.count(*stored.result())
                stored = storing.submit(keep, accepted)
                if progress is not None:
                    progress(chunk.done_bytes, total_bytes)
            if stored is not None:
                report.count(*stored.result())
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
