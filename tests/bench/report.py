"""Turns the rounds into a table and says whether the bars are met; measures nothing."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.bench.load import Load

CONSTANT, COLD, PLAINTEXT, MTLS = "constant", "cold", "plaintext", "mtls"
SERVERS = (CONSTANT, COLD, PLAINTEXT, MTLS)

_TITLES = {
    CONSTANT: "constant bytes, plaintext",
    COLD: "service, nothing kept",
    PLAINTEXT: "whole service, plaintext",
    MTLS: "whole service, mutual TLS",
}
_LEAST_OF_CONSTANT = 0.5
_LEAST_OF_PLAINTEXT = 0.9
# Below this the server waited for the load, or another program was on its core.
_LEAST_BUSY = 0.9


@dataclass(frozen=True)
class Measurement:
    """One server in one round."""

    load: Load
    cpu_us_per_request: float  # of the server's process
    busy: float  # the part of the time that the server's process was on its core


Round = dict[str, Measurement]  # by server


@dataclass(frozen=True)
class Ratio:
    """How many requests per second one server answered for each one of another, round by round."""

    each: tuple[float, ...]

    @classmethod
    def of(cls, rounds: Sequence[Round], server: str, base: str) -> "Ratio":
        """Divide within each round, so that what changes between rounds drops out."""
        return cls(
            tuple(
                measured[server].load.requests_per_second / measured[base].load.requests_per_second
                for measured in rounds
            )
        )

    @property
    def median(self) -> float:
        """The middle of the rounds' ratios."""
        return median(self.each)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({min(self.each):.2f} to {max(self.each):.2f})"


def table(rounds: Sequence[Round]) -> str:
    """Return one line for each server: medians of the rounds, ratios with their spread."""
    lines = [
        f"{'':27}{'requests/s':>11}{'of constant (min to max)':>26}{'CPU µs/request':>16}"
        f"{'p50 ms':>8}{'p99 ms':>8}{'core busy':>11}"
    ]
    for server in SERVERS:
        measured = [each[server] for each in rounds]
        lines.append(
            f"{_TITLES[server]:27}"
            f"{median(each.load.requests_per_second for each in measured):11,.0f}"
            f"{Ratio.of(rounds, server, CONSTANT)!s:>26}"
            f"{median(each.cpu_us_per_request for each in measured):16.0f}"
            f"{median(each.load.p50_ms for each in measured):8.1f}"
            f"{median(each.load.p99_ms for each in measured):8.1f}"
            f"{median(each.busy for each in measured):11.0%}"
        )
    return "\n".join(lines)


def verdict(rounds: Sequence[Round]) -> str:
    """Return a line for each bar, and one for each server that did not have its core to itself."""
    cold, chain = Ratio.of(rounds, COLD, CONSTANT), Ratio.of(rounds, PLAINTEXT, CONSTANT)
    mtls = Ratio.of(rounds, MTLS, PLAINTEXT)
    lines = [
        _bar("the whole chain over plaintext, of constant bytes", chain, _LEAST_OF_CONSTANT),
        _bar("the same with nothing kept, of constant bytes", cold, _LEAST_OF_CONSTANT),
        _bar("mutual TLS, of plaintext", mtls, _LEAST_OF_PLAINTEXT),
    ]
    for server in SERVERS:
        busy = median(each[server].busy for each in rounds)
        if busy < _LEAST_BUSY:
            lines.append(
                f"caution: {_TITLES[server]}: it had its core for {busy:.0%} of the time; "
                "is the machine in other use?"
            )
    return "\n".join(lines)


def as_json(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return every measurement, and the ratios that the bars are about."""
    return {
        "rounds": [{server: asdict(each) for server, each in measured.items()} for measured in rounds],
        "chain_of_constant": Ratio.of(rounds, PLAINTEXT, CONSTANT).each,
        "cold_of_constant": Ratio.of(rounds, COLD, CONSTANT).each,
        "mtls_of_plaintext": Ratio.of(rounds, MTLS, PLAINTEXT).each,
    }


def _bar(what: str, ratio: Ratio, least: float) -> str:
    met = "met" if ratio.median >= least else "NOT MET"
    return f"{what}: {ratio}, at least {least:.2f} is asked for: {met}"
