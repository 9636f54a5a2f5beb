"""The figures of swaps under load, round by round, and the table of their medians; measures nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, median

import numpy as np

from tests.bench.steady_load import Calls

_MOST = 2.0  # times the percentile before: the bar

Window = tuple[int, int]  # µs since 1970


@dataclass(frozen=True)
class Round:
    """One swap and the calm before it."""

    window_seconds: float
    calls: int  # in the window
    p50_before_ms: float
    p99_before_ms: float
    p50_ms: float
    p99_ms: float
    worst_ms: float

    @property
    def ratio(self) -> float:
        return self.p99_ms / self.p99_before_ms


@dataclass(frozen=True)
class Swaps:
    """What was measured."""

    model_mb: float
    calls: int
    failed: int
    calls_per_second: float
    resident_before_mb: float  # of the service
    resident_after_mb: float
    rounds: list[Round]


def round_of(calls: Calls, calm: Window, window: Window) -> Round:
    """Compare the calls of two times."""
    before, inside = calls.milliseconds_during(*calm), calls.milliseconds_during(*window)
    p50_before, p99_before = np.percentile(before, [50, 99]).tolist()
    p50, p99 = np.percentile(inside, [50, 99]).tolist()
    seconds = (window[1] - window[0]) / 1e6
    return Round(seconds, len(inside), p50_before, p99_before, p50, p99, float(inside.max()))


def report(swaps: Swaps) -> str:
    """Return the medians as a table, and whether the bars are met."""
    rounds = swaps.rounds

    def middle(figure: Callable[[Round], float]) -> float:
        return median(figure(each) for each in rounds)

    ratios = sorted(each.ratio for each in rounds)
    return (
        "| model MB | calls | a second | failed | p50 / p99 before | in the window | worst | ratio of p99 |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        f"| {swaps.model_mb:,.1f} | {swaps.calls:,} | {swaps.calls_per_second:,.0f} | {swaps.failed} "
        f"| {middle(lambda each: each.p50_before_ms):.2f} / {middle(lambda each: each.p99_before_ms):.2f} ms "
        f"| {middle(lambda each: each.p50_ms):.2f} / {middle(lambda each: each.p99_ms):.2f} ms "
        f"| {middle(lambda each: each.worst_ms):.1f} ms "
        f"| {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |\n\n"
        f"medians of {len(rounds)} swaps, windows of {mean(each.window_seconds for each in rounds):.1f} s; "
        f"bars: 0 failed {_met(swaps.failed == 0)}, p99 at most {_MOST:g} times the one before "
        f"{_met(median(ratios) <= _MOST)}\n"
        f"resident memory of the service: {swaps.resident_before_mb:,.0f} MB before, "
        f"{swaps.resident_after_mb:,.0f} MB after"
    )


def _met(met: bool) -> str:
    return "met" if met else "NOT MET"
