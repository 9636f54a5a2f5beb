"""How long training takes and how much memory it needs, over sizes; each size in a process of its own.

    python -m tests.bench.training [--train FILE] [--large]

Four sizes of a made-up shop, readers and books growing alike (9 books a reader, as in Amazon-Book), and the
exponent of growth; with --large also 6 million interactions with 10,000 books; with --train the lists of a
file of that benchmark's layout. Processor time stands beside the clock's: on a machine that does other work
the clock says more about that work. Train alone is measured, compiled kernels at hand, without the holdout.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time

import numpy as np

from service.domain.interactions import InteractionLog, InteractionType
from service.training import train
from tests.bench.ranking import read

SIZES = (81_000, 162_000, 325_000, 650_000)
_BOOKS_A_READER, _READERS_A_BOOK = 9.2, 26.0
LARGE = (6_000_000, 53_000, 10_000)
_TASTES = 50


def made_up(interactions: int, readers: int, books: int, seed: int = 0) -> InteractionLog:
    """Make readers of one taste in fifty each, with a long tail of histories and of books."""
    random = np.random.default_rng(seed)
    lengths = random.lognormal(0, 1, readers)
    lengths = np.maximum(1, lengths * interactions / lengths.sum()).astype(np.int64)
    total = int(lengths.sum())
    reader_ids = np.repeat(np.arange(1, readers + 1), lengths)
    tastes = random.integers(0, _TASTES, readers)[reader_ids - 1]
    tastes = np.where(random.random(total) < 0.3, random.integers(0, _TASTES, total), tastes)
    within = (random.random(total) ** 2.5 * (books // _TASTES)).astype(np.int64)
    return InteractionLog(
        reader_ids,
        1 + within * _TASTES + tastes,
        np.full(total, InteractionType.READ, dtype=np.uint8),
        np.full(total, np.nan, dtype=np.float32),
        np.arange(total),
    )


def measured(what: str) -> dict[str, float]:
    """Train once in this process on "interactions,readers,books" or on a file."""
    parts = what.split(",")
    log = made_up(*map(int, parts)) if len(parts) == 3 else read(what)
    book_ids = np.unique(log.book_ids)
    small = made_up(2_000, 200, 300)
    train(small, np.unique(small.book_ids))  # compiles, or loads what is compiled
    wall, processor = time.perf_counter(), time.process_time()
    model = train(log, book_ids)
    return {
        "interactions": len(log),
        "books": len(book_ids),
        "neighbours": len(model.indices),
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--train")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measured(chosen.one)))
        return
    sizes = [f"{n},{int(n / _BOOKS_A_READER)},{int(n / _READERS_A_BOOK)}" for n in SIZES]
    sizes += [",".join(map(str, LARGE))] * chosen.large + [chosen.train] * bool(chosen.train)
    print("| interactions | books | neighbours | s | processor s | peak MB |")
    print("| --- " * 6 + "|")
    rows = []
    for size in sizes:
        command = [sys.executable, "-m", "tests.bench.training", "--one", size]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(out))
        print(
            "| {interactions:,} | {books:,} | {neighbours:,} | {seconds:.1f} | {processor_seconds:.1f} |"
            " {peak_mb:.0f} |".format(**rows[-1]),
            flush=True,
        )
    for name in ("seconds", "processor_seconds"):
        slope = np.polyfit(
            [math.log(row["interactions"]) for row in rows[: len(SIZES)]],
            [math.log(row[name]) for row in rows[: len(SIZES)]],
            1,
        )[0]
        print(f"{name}: growth exponent {slope:.2f}")


if __name__ == "__main__":
    main()
