"""Writes the files of a made-up shop as an export writes them; knows nothing of what is measured with them.

python -m tests.bench.bulk_files DIRECTORY BOOKS ROWS FORMAT...
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from service.exporting import export_books, export_interactions
from service.exporting.run import InteractionRow
from tests.bench.scale_shop import MadeShop

# What an export reads at a time: files of the same rows in the same lots are the same to the byte.
_ROWS_A_LOT = 10_000
_SEED = 20_261_125


def main() -> None:
    """Write books and interactions in each format."""
    directory, (book_count, row_count) = Path(sys.argv[1]), map(int, sys.argv[2:4])
    shop = MadeShop(book_count, max(1, row_count // 20), row_count)
    for layout in sys.argv[4:]:
        export_books(shop.books(), directory / f"books.{layout}", format=layout)
        export_interactions(_rows(shop), directory / f"interactions.{layout}", format=layout)


def _rows(shop: MadeShop) -> Iterator[list[InteractionRow]]:
    chance = np.random.default_rng(_SEED)
    for lot in shop.interactions():
        log = lot.log
        # As long as a UUID without its dashes, and as random: the index by it is met everywhere.
        digits = chance.bytes(16 * len(log)).hex()
        rows = list(
            zip(
                (digits[start : start + 32] for start in range(0, len(digits), 32)),
                log.reader_ids.tolist(),
                log.book_ids.tolist(),
                log.types.tolist(),
                (None if rating != rating else rating for rating in log.ratings.tolist()),
                log.occurred_at.tolist(),
                [""] * len(log),
                strict=True,
            )
        )
        for start in range(0, len(rows), _ROWS_A_LOT):
            yield rows[start : start + _ROWS_A_LOT]


if __name__ == "__main__":
    main()
