"""How long a ranking takes: the sparse stage by itself, and the whole of it over the readers of a data set.

    python -m tests.bench.ranking [TRAIN_FILE]

TRAIN_FILE is a reader's number and the numbers of their books a line, first to last, as the Amazon-Book
benchmark's; it is trained on first. Without one a made-up model of that benchmark's size is taken: 24,915
books, 145 neighbours each, 256 factors, histories of the same lengths. Times are those of the call from
Python, of the core that made it, so that other work on the machine blurs them less; the clock's stand beside.
"""

import gc
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.books import Book
from service.domain.catalogue import Catalogue
from service.domain.histories import EventPages, Histories, History
from service.domain.interactions import InteractionLog, InteractionType
from service.domain.model import ItemModel, RankingSettings
from service.domain.popularity import popular_order
from service.domain.ranking import Ground, Rows, Scratch, Wishes, rank
from service.training import TrainingSettings, train
from service.training.whole_numbers import in_whole_numbers

PLACES = 20
_BOOKS, _NEIGHBOURS, _FACTORS, _READERS = 24_915, 145, 256, 70_679
_MEASURED = 20_000  # readers
_LONG = 110  # books, of the sparse stage's mark
_REPEATS = 2000


def read(path: str | Path) -> InteractionLog:
    """Read lists of books as interactions a second apart."""
    lines = [np.array(line.split(), dtype=np.int64) for line in Path(path).read_text().splitlines()]
    lines = [line for line in lines if len(line) > 1]
    counts = np.array([len(line) - 1 for line in lines])
    total = int(counts.sum())
    steps = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    return InteractionLog(
        np.repeat([line[0] for line in lines], counts) + 1,
        np.concatenate([line[1:] for line in lines]) + 1,
        np.full(total, InteractionType.READ, dtype=np.uint8),
        np.full(total, np.nan, dtype=np.float32),
        (steps + 1) * 1_000_000,
    )


def made_up(seed: int = 0) -> tuple[ItemModel, InteractionLog]:
    """Make a model of random neighbours, popular ones more often, and histories with a long tail."""
    random = np.random.default_rng(seed)
    # A part x of the books has x^(1/3) of the neighbours and of the readers.
    targets = (_BOOKS * random.random((_BOOKS, _NEIGHBOURS)) ** 3).astype(np.int32)
    lengths = np.minimum(3 + random.lognormal(1.2, 1.2, _READERS), 1000).astype(np.int64)
    total = int(lengths.sum())
    sources = random.normal(0, 0.06, (_BOOKS, _FACTORS)).astype(np.float32)
    targets, scales = in_whole_numbers(random.normal(0, 0.06, (_BOOKS, _FACTORS)).astype(np.float32))
    model = ItemModel(
        "made-up",
        "made up",
        0,
        np.arange(1, _BOOKS + 1),
        np.arange(0, _BOOKS * _NEIGHBOURS + 1, _NEIGHBOURS),
        np.sort(targets, axis=1).reshape(-1),
        (random.random(_BOOKS * _NEIGHBOURS) * 0.1).astype(np.float32),
        np.ones(_BOOKS, dtype=np.float32),
        reader_count=_READERS,
        interaction_count=total,
        source_factors=sources,
        target_factors=targets,
        target_scales=scales,
        ranking=TrainingSettings().ranking(),
    )
    log = InteractionLog(
        np.repeat(np.arange(1, _READERS + 1), lengths),
        1 + (_BOOKS * random.random(total) ** 3).astype(np.int64),
        np.full(total, InteractionType.READ, dtype=np.uint8),
        np.full(total, np.nan, dtype=np.float32),
        np.arange(total),
    )
    return model, log


class Bench:
    """A model with its catalogue and its readers' histories, folded."""

    def __init__(self, model: ItemModel, log: InteractionLog) -> None:
        self.model = model
        self.catalogue = Catalogue(Book(book_id, str(book_id)) for book_id in model.book_ids.tolist())
        positions = self.catalogue.positions_of_array(log.book_ids)
        histories = Histories(EventPages.of(log, positions))
        readers = np.random.default_rng(0).permutation(np.unique(log.reader_ids)).tolist()
        self.histories = [histories.of(reader) for reader in readers]
        popular = popular_order(np.bincount(positions, minlength=len(self.catalogue)), self.catalogue.ids)
        nothing = np.empty(0, dtype=np.int32)
        self.wishes = Wishes(self.catalogue.clauses(()), nothing, popular, PLACES)
        self.scratch = Scratch.of(len(self.catalogue))  # all of its books are the model's

    def times(
        self, histories: list[History], settings: RankingSettings, *, with_reasons: bool = True
    ) -> NDArray[np.float64]:
        """Return what each ranking took, in µs: [by the core, by the clock]."""
        model = replace(self.model, ranking=settings)
        ground = Ground.of(self.catalogue, model, Rows.of(self.catalogue, model))
        took = np.empty((2, len(histories)))
        for history in histories[:200]:
            rank(self.scratch, ground, settings, history, self.wishes, with_reasons=with_reasons)
        gc.disable()
        for number, history in enumerate(histories):
            clock, core = time.perf_counter_ns(), time.thread_time_ns()
            rank(self.scratch, ground, settings, history, self.wishes, with_reasons=with_reasons)
            took[:, number] = time.thread_time_ns() - core, time.perf_counter_ns() - clock
        gc.enable()
        return took / 1000


def _row(name: str, took: NDArray[np.float64], lengths: list[int]) -> str:
    core, clock = (np.percentile(each, (50, 99)) for each in took)
    history = f"{np.median(lengths):.0f}"
    return f"{name:34} {history:>8} {core[0]:8.0f} {core[1]:8.0f} {clock[0]:8.0f} {clock[1]:8.0f}"


def main() -> None:
    """Print a table."""
    if len(sys.argv) > 1:
        log = read(sys.argv[1])
        model = train(log, np.unique(log.book_ids))
    else:
        model, log = made_up()
    report(model, log)


def report(model: ItemModel, log: InteractionLog) -> None:
    """Print how long rankings by a model take for the readers of a log."""
    bench, settings = Bench(model, log), model.ranking
    neighbours = len(model.indices) / len(model.book_ids)
    print(f"{len(model.book_ids):,} books, {neighbours:.0f} neighbours each, {settings}")
    print(f"{'µs of a ranking':34} {'history':>8} {'p50':>8} {'p99':>8} {'clock 50':>8} {'clock 99':>8}")
    long = [history for history in bench.histories if len(history) >= _LONG]
    long = [_latest(history, _LONG) for history in (long * _REPEATS)[:_REPEATS]]
    sparse = replace(settings, rerank_weight=0.0, longest_history=_LONG)
    served = replace(settings, rerank_weight=0.0)
    for name, how in (("all 110 books", sparse), (f"latest {settings.longest_history} of 110", served)):
        print(_row(f"sparse stage, {name}", bench.times(long, how, with_reasons=False), [_LONG]))
    print(_row("the same with reasons", bench.times(long, served), [_LONG]))
    measured = bench.histories[:_MEASURED]
    lengths = [len(history) for history in measured]
    print(_row("neighbours alone, all readers", bench.times(measured, served), lengths))
    print(_row("with factors, all readers", bench.times(measured, settings), lengths))
    for least, most in ((1, 5), (6, 16), (17, 32), (33, 99), (100, 399), (400, 10**6)):
        some = [history for history in bench.histories if least <= len(history) <= most][:3000]
        if some:
            lengths = [len(history) for history in some]
            print(_row(f"with factors, {least} to {most} books", bench.times(some, settings), lengths))


def _latest(history: History, count: int) -> History:
    return History(
        history.positions[-count:],
        history.preferences[-count:],
        history.read[-count:],
        history.unwanted[-count:],
    )


if __name__ == "__main__":
    main()
