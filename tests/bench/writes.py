"""How many interactions the service acknowledges a second, each on the disk by then, on both databases.

    python -m tests.bench.writes [--seconds 5] [--rounds 3] [--json FILE]

The whole service, pinned to one core, takes RecordInteractions over mutual TLS from concurrent callers in a
process on another core; PostgreSQL runs wherever there is room. Every reply is checked, and afterwards the
database is asked whether it holds what was acknowledged. The exit code is 0 when measuring worked.
"""

import argparse
import itertools
import json
import os
import random
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import grpc
import numpy as np
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from prometheus_client.parser import text_string_to_metric_families

from service.storage import Database
from tests.bench.cores import BenchError, cpu_seconds, two_cores
from tests.bench.servers import Service, running_service
from tests.bench.shop import Shop
from tests.postgres import PostgresServer

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
# Batch size and callers, each with one call under way: for single ones as many as there are threads for them.
_LOADS = ((100, 16), (1, 32))
_LEAST = {100: ("interactions", 20_000), 1: ("calls", 1_500)}  # a second: the bars
_WARM_UP_SECONDS = 1.0
_CALL_SECONDS = 20.0
# No service here takes more calls a second than this; what is sent is made beforehand.
_MOST_CALLS_A_SECOND = {100: 600, 1: 4_000}
_SEED = 20_261_124
_PATH = "/onlinebooks.recommendations.v1.RecommendationService/RecordInteractions"
_TYPES = (pb.INTERACTION_TYPE_VIEW, pb.INTERACTION_TYPE_PURCHASE, pb.INTERACTION_TYPE_READ)
_names = itertools.count()


@dataclass(frozen=True)
class Writes:
    """What one run measured; every call of it was answered with all of its interactions stored."""

    database: str
    batch: int
    callers: int
    calls_per_second: float
    interactions_per_second: float
    p50_ms: float
    p99_ms: float
    calls_a_group: float  # stored in one transaction, in the mean
    cpu_us_per_call: float  # of the service's process
    busy: float  # the part of the time that the service's process was on its core


def main() -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.writes", description="Measure how fast interactions are stored."
    )
    parser.add_argument("--seconds", type=float, default=5, help="length of one run (5)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each load on each database (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    arguments = parser.parse_args()
    try:
        measured = _bench(arguments.seconds, arguments.rounds)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"\n{_table(measured)}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in measured], indent=2) + "\n")
    return 0


class _PostgresShop(Shop):
    """The same shop on PostgreSQL."""

    def __init__(self, directory: Path, server: PostgresServer) -> None:
        super().__init__(directory)
        self._database_url = server.url(server.create_database())
        self.password_file = server.password_file

    def environment(self, **settings: object) -> dict[str, str]:
        return super().environment(**settings, database_password_file=self.password_file)

    def open(self) -> Database:
        return Database.open(self._database_url, password_file=self.password_file)


class _SqliteShop(Shop):
    def open(self) -> Database:
        return Database.open(self._database_url)


def _bench(seconds: float, rounds: int) -> list[Writes]:
    server_core, load_core = two_cores()
    measured = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="recommendations-bench-")))
        shops: dict[str, _SqliteShop | _PostgresShop] = {}
        for name in (SQLITE, POSTGRESQL):
            print(f"setting up the sample bookshop on {name} …", flush=True)
            home = directory / name
            home.mkdir()
            if name == SQLITE:
                shops[name] = _SqliteShop(home)
            else:
                shops[name] = _PostgresShop(home, stack.enter_context(PostgresServer()))
            shops[name].prepare()
        print(f"service on core {server_core}, callers on core {load_core}", flush=True)
        # This process is the load: all that it starts itself from here on is pinned by its own.
        everywhere = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {load_core})
        stack.callback(os.sched_setaffinity, 0, everywhere)
        for name, shop in shops.items():
            with running_service(shop, directory / f"{name}.log", server_core) as service:
                for _, (batch, callers) in itertools.product(range(rounds), _LOADS):
                    measured.append(_measure(name, shop, service, batch, callers, seconds))
                    print(_line([measured[-1]]), flush=True)
    return measured


def _measure(
    name: str, shop: _SqliteShop | _PostgresShop, service: Service, batch: int, callers: int, seconds: float
) -> Writes:
    with shop.open() as database, _channel(shop, service) as channel:
        count = round(_MOST_CALLS_A_SECOND[batch] * (seconds + _WARM_UP_SECONDS))
        requests = _requests(count, batch)
        before = database.counts().interactions
        warmed = _send(channel, requests, batch, callers, _WARM_UP_SECONDS)
        groups, cpu, started = _groups(service), cpu_seconds(service.pid), time.monotonic()
        took = _send(channel, requests, batch, callers, seconds)
        wall_seconds, cpu = time.monotonic() - started, cpu_seconds(service.pid) - cpu
        groups = _groups(service) - groups
        stored = database.counts().interactions - before
    acknowledged = batch * (len(warmed) + len(took))
    if stored != acknowledged:
        raise BenchError(f"{name}: {acknowledged} interactions were acknowledged, and {stored} are stored")
    p50, p99 = np.percentile(took, [50, 99]) * 1000
    return Writes(
        name,
        batch,
        callers,
        calls_per_second=len(took) / wall_seconds,
        interactions_per_second=batch * len(took) / wall_seconds,
        p50_ms=float(p50),
        p99_ms=float(p99),
        calls_a_group=len(took) / groups,
        cpu_us_per_call=1e6 * cpu / len(took),
        busy=cpu / wall_seconds,
    )


def _requests(count: int, batch: int) -> Iterator[bytes]:
    """Make so many messages of new interactions, beforehand, so that making them is not measured."""
    chance = random.Random(_SEED)
    now = time.time_ns() // 1_000_000_000
    made = []
    for _ in range(count):
        request = pb.RecordInteractionsRequest()
        for _ in range(batch):
            interaction = request.interactions.add(
                interaction_id=f"bench-{next(_names):016x}",
                reader_id=chance.randint(1, 3_000),
                book_id=chance.randint(1, 700),
                type=chance.choice(_TYPES),
                recommendation_id="0123456789ab-1f-p89abcdef",
            )
            interaction.occurred_at.seconds = now - chance.randint(0, 3_600)
        made.append(request.SerializeToString())
    return iter(made)


@contextmanager
def _channel(shop: Shop, service: Service) -> Iterator[grpc.Channel]:
    ca, key, certificate = (
        (shop.certificates / name).read_bytes() for name in ("ca.crt", "client.key", "client.crt")
    )
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    with grpc.secure_channel(f"localhost:{service.mtls_port}", credentials) as channel:
        grpc.channel_ready_future(channel).result(_CALL_SECONDS)
        yield channel


def _send(
    channel: grpc.Channel, requests: Iterator[bytes], batch: int, callers: int, seconds: float
) -> list[float]:
    """Send from so many callers at a time; return how many seconds each call took."""
    record = channel.unary_unary(_PATH, request_serializer=None, response_deserializer=None)
    all_stored = pb.RecordInteractionsResponse(recorded_count=batch).SerializeToString()
    end = time.monotonic() + seconds
    took: list[float] = []
    mistakes: list[str] = []
    # Callbacks come on one thread, so they need no lock; each caller's sends the caller's next call.
    at_work = callers
    done = threading.Event()

    def call() -> None:
        nonlocal at_work
        began = time.monotonic()
        request = next(requests, None) if began < end and not mistakes else None
        if request is None:
            at_work -= 1
            if not at_work:
                done.set()
            return
        pending = record.future(request, timeout=_CALL_SECONDS)
        pending.add_done_callback(lambda reply: answered(reply, began))

    def answered(reply: grpc.Future, began: float) -> None:
        took.append(time.monotonic() - began)
        if reply.code() is not grpc.StatusCode.OK:
            mistakes.append(f"{reply.code()}: {reply.details()}")
        elif reply.result() != all_stored:
            mistakes.append(
                f"not all were stored: {pb.RecordInteractionsResponse.FromString(reply.result())}"
            )
        call()

    for _ in range(callers):
        call()
    if not done.wait(seconds + 2 * _CALL_SECONDS):
        raise BenchError("the calls did not end")
    if mistakes:
        raise BenchError(f"a call failed: {mistakes[0]}")
    return took


def _groups(service: Service) -> float:
    """Return how many transactions have stored interactions."""
    url = f"http://127.0.0.1:{service.admin_port}/metrics"
    with urllib.request.urlopen(url, timeout=_CALL_SECONDS) as response:
        text = response.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "recommendations_recorded_groups_total":
                return sample.value
    raise BenchError("the service does not count its transactions")


def _table(measured: list[Writes]) -> str:
    head = (
        "| database | batch | callers | calls/s | interactions/s | p50 ms | p99 ms | calls a transaction "
        "| CPU µs/call | core busy |\n" + "| --- " * 10 + "|"
    )
    lines, verdicts = [head], []
    for name, (batch, _) in itertools.product((SQLITE, POSTGRESQL), _LOADS):
        runs = [each for each in measured if (each.database, each.batch) == (name, batch)]
        lines.append(_line(runs))
        noun, least = _LEAST[batch]
        rate = median(getattr(each, f"{noun}_per_second") for each in runs)
        verdicts.append(
            f"{name}, batches of {batch}: {rate:,.0f} {noun}/s, bar {least:,}: "
            f"{'met' if rate >= least else 'NOT MET'}"
        )
    return "\n".join([*lines, "", *verdicts])


def _line(runs: list[Writes]) -> str:
    def middle(field: str) -> float:
        return median(getattr(each, field) for each in runs)

    return (
        f"| {runs[0].database} | {runs[0].batch} | {runs[0].callers} | {middle('calls_per_second'):,.0f} "
        f"| {middle('interactions_per_second'):,.0f} | {middle('p50_ms'):.1f} | {middle('p99_ms'):.1f} "
        f"| {middle('calls_a_group'):.1f} | {middle('cpu_us_per_call'):,.0f} | {middle('busy'):.0%} |"
    )


if __name__ == "__main__":
    sys.exit(main())
