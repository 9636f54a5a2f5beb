"""Measures a shop of a million books beside the sample shop, and prints what it takes; see README.md.

    python -m tests.bench.scale [--books N] [--readers N] [--interactions N] [--directory DIR]

The exit code is 0 when measuring worked, whatever was measured, and 1 when it did not.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.cores import BenchError, cpu_seconds, two_cores
from tests.bench.scale_load import Latencies, ask, served_ms
from tests.bench.scale_memory import Memory
from tests.bench.scale_shop import NEIGHBOURS, MadeShop
from tests.bench.servers import Service, running_service
from tests.bench.shop import Shop

_SAMPLE, _COLD, _LARGE = "sample shop", "sample, nothing kept", "large shop"
_ROUNDS, _CALLS, _WARM_UP = 5, 4_000, 500
_SEED = 7
_LONGEST_MAKING_SECONDS = 1800

_LONGEST_READY_SECONDS, _MOST_RSS_MIB, _LARGEST_RATIO = 15.0, 1536.0, 2.0


@dataclass
class _Measured:
    """One running service."""

    service: Service
    shop: Shop
    readers: list[int]
    log: Path
    ready_seconds: float
    ready_cpu_seconds: float
    at_ready: Memory
    latencies: Latencies = field(default_factory=Latencies)
    after: Memory | None = None
    served_ms: float = 0.0


def main() -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description="Measure a large shop.")
    parser.add_argument("--books", type=int, default=1_000_000)
    parser.add_argument("--readers", type=int, default=2_000_000)
    parser.add_argument("--interactions", type=int, default=40_000_000)
    parser.add_argument(
        "--directory", type=Path, help="keep the made shop there, or take the one that is there"
    )
    arguments = parser.parse_args()
    shop = MadeShop(arguments.books, arguments.readers, arguments.interactions)
    try:
        _bench(shop, arguments.directory)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _bench(made_shop: MadeShop, kept: Path | None) -> None:
    server_core, load_core = two_cores()
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(TemporaryDirectory(prefix="recommendations-scale-")))
        sample, large = Shop(temporary / "sample"), Shop(kept or temporary / "large")
        sample.directory.mkdir()
        print("setting up the sample bookshop …", flush=True)
        sample.prepare()
        print(
            f"making {made_shop.book_count:,} books with {NEIGHBOURS} neighbours each, "
            f"{made_shop.reader_count:,} readers, {made_shop.count:,} interactions …",
            flush=True,
        )
        made = _make(made_shop, large)
        shutil.copytree(sample.certificates, large.certificates, dirs_exist_ok=True)
        print(_files(made_shop, made), flush=True)

        calls = _ROUNDS * (_CALLS + _WARM_UP)
        # One draw a round, so that readers come back, as they do, now and then.
        [known] = sample.draw_readers(1, calls, 0, _SEED)
        services = {}
        for name, shop, readers, settings in (
            (_SAMPLE, sample, known, {}),
            (_COLD, sample, known, {"kept_answers": 0}),
            (_LARGE, large, made_shop.draw_readers(calls, _SEED), {}),
        ):
            log = temporary / f"{len(services)}.log"
            settings |= {"mirror_directory": shop.directory / "mirror"}
            started = time.monotonic()
            service = stack.enter_context(running_service(shop, log, server_core, **settings))
            seconds = time.monotonic() - started
            services[name] = _Measured(
                service, shop, readers, log, seconds, cpu_seconds(service.pid), Memory.of(service.pid)
            )
        for number in range(_ROUNDS):
            for each in services.values():
                drawn = each.readers[number * (_CALLS + _WARM_UP) :][: _CALLS + _WARM_UP]
                ask(
                    each.service.mtls_port,
                    each.shop.certificates,
                    drawn,
                    load_core,
                    _WARM_UP,
                    each.latencies,
                )
            print(f"round {number + 1} of {_ROUNDS}", flush=True)
        for each in services.values():
            each.after = Memory.of(each.service.pid)
            each.served_ms = served_ms(each.log, _CALLS)
        print(_table(services), _verdict(services), sep="\n")


def _make(shop: MadeShop, large: Shop) -> dict[str, float]:
    """Make the large shop in a process of its own, whose memory is the builder's."""
    figures = large.directory / "made.json"
    if not figures.exists():
        large.directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.bench.scale_shop", large.directory]
        numbers = (shop.book_count, shop.reader_count, shop.count)
        done = subprocess.run(
            [*command, *map(str, numbers)], capture_output=True, text=True, timeout=_LONGEST_MAKING_SECONDS
        )
        if done.returncode:
            raise BenchError(f"making the large shop failed: {done.stderr.strip()[-500:]}")
        figures.write_text(done.stdout)
    made: dict[str, float] = json.loads(figures.read_text())
    return made


def _files(shop: MadeShop, made: dict[str, float]) -> str:
    """Tell what the mirror took to write, and how large it is."""
    sizes = {
        "reader": (("reader_ids", "reader_starts"), shop.reader_count),
        "interaction": (
            [f"{of}_{what}" for of in ("event", "popularity") for what in ("times", "positions", "codes")],
            shop.count,
        ),
        "book": (
            ("book_ids", "book_category_bits", "book_texts", "book_offsets", "popularity_totals"),
            shop.book_count,
        ),
    }
    each = ", ".join(
        f"{sum(made[name] for name in names) / count:.1f} for a {what}"
        for what, (names, count) in sizes.items()
    )
    return (
        f"the mirror was written in {made['seconds']:.0f} s with {made['grown_mb']:.0f} MiB at most "
        f"({shop.count / made['seconds']:,.0f} interactions/s); bytes on disk: {each}"
    )


def _table(services: dict[str, _Measured]) -> str:
    rows = [("", *services)]
    rows.append(("s to ready", *(f"{each.ready_seconds:.1f}" for each in services.values())))
    # What the start costs a core, whatever else the machine does meanwhile.
    rows.append(("CPU s to ready", *(f"{each.ready_cpu_seconds:.1f}" for each in services.values())))
    for when in ("at_ready", "after"):
        for kind, what in (
            ("rss", "resident"),
            ("pss", "proportional"),
            ("private", "private"),
            ("file", "mapped files"),
        ):
            label = f"MiB {what}, {'when ready' if when == 'at_ready' else 'after the load'}"
            rows.append(
                (label, *(f"{getattr(getattr(each, when), kind):,.0f}" for each in services.values()))
            )
    rows.append(("ms p50 over mutual TLS", *(f"{each.latencies.p50:.3f}" for each in services.values())))
    rows.append(("ms p99 over mutual TLS", *(f"{each.latencies.p99:.3f}" for each in services.values())))
    rows.append(("ms p50 within the service", *(f"{each.served_ms:.3f}" for each in services.values())))
    return (
        "\n" + "\n".join(f"{row[0]:32}" + "".join(f"{cell:>24}" for cell in row[1:]) for row in rows) + "\n"
    )


def _verdict(services: dict[str, _Measured]) -> str:
    large, sample, cold = services[_LARGE], services[_SAMPLE], services[_COLD]
    rss = max(large.at_ready.rss, large.after.rss if large.after else 0)
    ratio = large.latencies.p50 / sample.latencies.p50
    return "\n".join(
        (
            _bar("time to ready", large.ready_seconds, _LONGEST_READY_SECONDS, "s"),
            _bar("resident memory", rss, _MOST_RSS_MIB, "MiB"),
            _bar("p50, of the sample shop's", ratio, _LARGEST_RATIO, "times"),
            f"p50, of the sample's with nothing kept: {large.latencies.p50 / cold.latencies.p50:.2f} times",
            f"p50 within the service, of the sample's with nothing kept: "
            f"{large.served_ms / cold.served_ms:.2f} times",
        )
    )


def _bar(what: str, value: float, most: float, unit: str) -> str:
    met = "met" if value <= most else "NOT MET"
    return f"{what}: {value:,.2f} {unit}, at most {most:,g} is asked for: {met}"


if __name__ == "__main__":
    sys.exit(main())
