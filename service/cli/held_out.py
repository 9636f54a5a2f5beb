"""A file of held-out interactions, read by the rules of importing and stored nowhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.cli.console import complain
from service.domain.books import Book
from service.domain.interactions import InteractionLog
from service.importing import import_interactions
from service.importing.sink import InteractionRow


class _InMemory:
    """What importing needs of a database: the catalogue, and where rows go."""

    def __init__(self, book_ids: NDArray[np.int64]) -> None:
        self._book_ids = set(book_ids.tolist())
        self.rows: dict[str, InteractionRow] = {}

    @contextmanager
    def bulk(self) -> Iterator["_InMemory"]:
        yield self

    def book_ids(self) -> set[int]:
        return self._book_ids

    def add_books(self, added: Sequence[Book], /) -> tuple[int, int]:
        raise AssertionError("interactions alone are read")

    def add_interactions(self, rows: Sequence[InteractionRow], /) -> None:
        for row in rows:
            self.rows.setdefault(row[0], row)

    def finish_interactions(self) -> int:
        return len(self.rows)


def read_held_out(
    path: Path, book_ids: NDArray[np.int64], layout: str | None, *, skip_bad: bool
) -> InteractionLog:
    """Read a file of interactions; raises ImportFailed, one line, also for books the catalogue lacks."""
    store = _InMemory(book_ids)
    outcome = import_interactions(path, store, format=layout, skip_bad=skip_bad)
    for rule, count in outcome.skipped_by_rule.most_common():
        complain(f"{path}: {count} rows skipped: {rule}")
    rows = list(store.rows.values())
    return InteractionLog(
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.int64),
        np.array([row[3] for row in rows], dtype=np.uint8),
        np.array([np.nan if row[4] is None else row[4] for row in rows], dtype=np.float32),
        np.array([row[5] for row in rows], dtype=np.int64),
    )
