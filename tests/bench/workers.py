"""Two workers beside one: requests, processor time and memory.

    python -m tests.bench.workers [--seconds 5] [--rounds 5]

One process pinned to a core and two workers, each pinned to one, take turns. The load has every core: beside
two workers it has no core of its own, so their requests/s are fewer than they could be. Processor time for a
request tells what the workers alone would reach. The exit code is 0 when measuring worked.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench.cores import BenchError, cpu_seconds, two_cores
from tests.bench.load import Load, require_h2load, send
from tests.bench.servers import Service, real_replies, running_service
from tests.bench.shop import Shop, framed

_ONE, _TWO = "one process", "two workers"
# Connections are given to workers by a hash of their address: among so many, each has some.
_READERS, _SEED = 16, 20_261_125
# Longer than so many h2load processes take to start one after the other.
_WARM_UP_REQUESTS_EACH = 3000
_LONGEST_RUN = 20  # times as long as a run was to take
_LEAST_RATIO = 1.6


@dataclass(frozen=True)
class Measurement:
    """One service in one round."""

    load: Load
    cpu_us_per_request: float  # of all processes of the service


def main() -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.workers", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=5, help="length of one run, about (5)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, in each of which both have a run (5)")
    arguments = parser.parse_args()
    try:
        _bench(arguments.seconds, arguments.rounds)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _bench(seconds: float, round_count: int) -> None:
    require_h2load()
    core, _ = two_cores()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="recommendations-bench-")))
        shop = Shop(directory)
        print("setting up the sample bookshop …", flush=True)
        shop.prepare()
        mirror = directory / "mirror"
        services = {
            _ONE: stack.enter_context(
                running_service(shop, directory / "one.log", core, mirror_directory=mirror)
            ),
            _TWO: stack.enter_context(
                running_service(shop, directory / "two.log", None, workers=2, mirror_directory=mirror)
            ),
        }
        rounds: list[dict[str, Measurement]] = []
        for number, readers in enumerate(shop.draw_readers(round_count, _READERS, 0, _SEED), start=1):
            bodies = []
            for index, reader in enumerate(readers):
                bodies.append(directory / f"request-{index}")
                bodies[-1].write_bytes(framed(reader))
            rounds.append({})
            for name, service in services.items():
                real_replies(service.plaintext_port, readers)
                rounds[-1][name] = measured = _measure(service, bodies, seconds)
                print(
                    f"round {number} of {round_count}: {name}: {measured.load.requests_per_second:7,.0f}"
                    f" requests/s, {measured.cpu_us_per_request:.0f} µs of processor time each",
                    flush=True,
                )
        print(f"\n{_report(rounds)}\n")
        for name, service in services.items():
            for pid in _processes(service):
                print(f"{name}: process {pid}: {_memory(pid)}")


def _measure(service: Service, bodies: list[Path], seconds: float) -> Measurement:
    warm_up = send(service.plaintext_port, bodies, _WARM_UP_REQUESTS_EACH, None, timeout_seconds=120)
    requests_each = max(1, round(warm_up.requests_per_second * seconds / len(bodies)))
    handled, cpu = service.handled(), _cpu_seconds(service)
    load = send(
        service.plaintext_port, bodies, requests_each, None, timeout_seconds=120 + _LONGEST_RUN * seconds
    )
    cpu = _cpu_seconds(service) - cpu
    service.require_all_ok(handled, load.requests)
    return Measurement(load, 1e6 * cpu / load.requests)


def _report(rounds: Sequence[dict[str, Measurement]]) -> str:
    lines = [f"{'':12}{'requests/s':>11}{'CPU µs/request':>16}{'p50 ms':>8}{'p99 ms':>8}"]
    for name in (_ONE, _TWO):
        measured = [each[name] for each in rounds]
        lines.append(
            f"{name:12}{median(each.load.requests_per_second for each in measured):11,.0f}"
            f"{median(each.cpu_us_per_request for each in measured):16.0f}"
            f"{median(each.load.p50_ms for each in measured):8.1f}"
            f"{median(each.load.p99_ms for each in measured):8.1f}"
        )
    ratios = [each[_TWO].load.requests_per_second / each[_ONE].load.requests_per_second for each in rounds]
    by_cpu = [2 * each[_ONE].cpu_us_per_request / each[_TWO].cpu_us_per_request for each in rounds]
    return "\n".join(
        [
            *lines,
            f"requests/s of two, of one: {_spread(ratios)}; at least {_LEAST_RATIO} is asked for: "
            f"{'met' if median(ratios) >= _LEAST_RATIO else 'NOT MET'}",
            f"by processor time, without the load on their cores: {_spread(by_cpu)}",
        ]
    )


def _spread(each: Sequence[float]) -> str:
    return f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def _processes(service: Service) -> list[int]:
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text()
    return [service.pid, *map(int, children.split())]


def _cpu_seconds(service: Service) -> float:
    return sum(map(cpu_seconds, _processes(service)))


def _memory(pid: int) -> str:
    """Describe what a process has in memory; proportional: shared pages by the number of who shares them."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    resident, proportional = (
        int(re.search(rf"^{name}:\s+(\d+) kB", rollup, re.MULTILINE)[1]) / 1024  # type: ignore[index]
        for name in ("Rss", "Pss")
    )
    return f"{resident:.0f} MB resident, {proportional:.0f} MB proportional"


if __name__ == "__main__":
    sys.exit(main())
