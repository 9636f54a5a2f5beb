"""What each reader liked, as lists in time order, and who read each book; knows nothing of models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.training.cells import Cells

_READERS_IN_THE_MIDDLE = 5


@dataclass(frozen=True, slots=True)
class Lists:
    """Readers' lists one after the other, n cells; and the same cells by book."""

    starts: NDArray[np.int64]  # [r + 1], where each reader's list begins
    books: NDArray[np.int32]  # [n], positions in the catalogue, oldest first within a list
    strengths: NDArray[np.float32]  # [n], preferences > 0, relative to their mean
    readers: NDArray[np.int32]  # [n], the list that a cell is of
    book_starts: NDArray[np.int64]  # [b + 1], where each book's cells begin in `cells`
    cells: NDArray[np.int64]  # [n], places in the arrays above, book by book, ascending

    @property
    def reader_count(self) -> int:
        return len(self.starts) - 1

    @property
    def book_count(self) -> int:
        return len(self.book_starts) - 1

    def lengths(self) -> NDArray[np.int64]:
        """Return how many books each list holds."""
        return np.diff(self.starts)

    def lateness(self) -> NDArray[np.float64]:
        """Return where in lists each book stands, on average: -½ all at the front, ½ all at the end.

        Of a book that few read it is nearer to 0, as if some more had read it in the middle.
        """
        steps = np.arange(len(self.books)) - self.starts[self.readers]
        places = (steps + 0.5) / self.lengths()[self.readers] - 0.5
        sums = np.bincount(self.books, weights=places, minlength=self.book_count)
        return sums / (np.diff(self.book_starts) + _READERS_IN_THE_MIDDLE)


def lists_of(liked: Cells, book_count: int) -> Lists:
    """Put cells, all liked, into lists; readers without any are left out."""
    # Relative to the mean, so that penalties mean the same in a shop of views as in one of purchases.
    strengths = liked.preferences / liked.preferences.mean(dtype=np.float64)
    order = np.lexsort((liked.last, liked.readers))
    readers = np.unique(liked.readers[order], return_inverse=True)[1].astype(np.int32)
    books = liked.books[order].astype(np.int32)
    return Lists(
        starts=np.append(0, np.cumsum(np.bincount(readers))).astype(np.int64),
        books=books,
        strengths=strengths[order].astype(np.float32),
        readers=readers,
        book_starts=np.append(0, np.cumsum(np.bincount(books, minlength=book_count))).astype(np.int64),
        cells=np.argsort(books, kind="stable").astype(np.int64),
    )
