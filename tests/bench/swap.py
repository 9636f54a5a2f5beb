"""What swapping the model costs the calls meanwhile: how many fail, and their 99th percentile.

    python -m tests.bench.swap [--swaps 10] [--load 0.5] [--made-up-books 0] [--json FILE]

The whole service, pinned to one core, answers a steady load: that part of what it can answer at most, with
no kept answers. Two trained models are promoted in turn. A swap's window begins with the promotion and ends
a second after the service answers from the other model. Made-up books, which nobody has read, make the models
as large as a larger shop's: a million are 0.8 GB to verify. The exit code is 0 when measuring worked.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import numpy as np
from numpy.typing import NDArray
from onlinebooks.recommendations.v1.recommendation_service_pb2 import GetModelRequest
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from service.models import ModelStore
from tests.bench.cores import BenchError, children_on, two_cores
from tests.bench.load import STREAMS_EACH, require_h2load, send
from tests.bench.servers import Service, real_replies, running_service
from tests.bench.shop import Shop, framed

_READERS, _UNKNOWN_READERS = 7, 1
_SEED = 20_261_124
_CAPACITY_REQUESTS_EACH = 2000
# The load before the first swap is compared with; then each swap has a window and a rest of its own.
_BEFORE_SECONDS = 10.0
_AFTER_TAKE_UP_SECONDS = 1.0
_REST_SECONDS = 1.0
_CHECK_SECONDS = 0.5
_NEIGHBOURS = 100  # of a made-up book
_LONGEST_TAKE_UP_SECONDS = 60.0
_MOST = 2.0  # times the percentile before: the bar
_PATH = "/onlinebooks.recommendations.v1.RecommendationService/Recommend"


@dataclass(frozen=True)
class Swaps:
    """What was measured."""

    calls: int
    failed: int
    calls_per_second: float
    calls_in_windows: int
    window_seconds: float  # the mean of the swaps
    p50_before_ms: float
    p99_before_ms: float
    p50_in_windows_ms: float
    p99_in_windows_ms: float
    worst_in_windows_ms: float
    resident_before_mb: float  # of the service
    resident_after_mb: float

    @property
    def ratio(self) -> float:
        return self.p99_in_windows_ms / self.p99_before_ms


def main() -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.swap", description="Swap the model under load."
    )
    parser.add_argument("--swaps", type=int, default=10, help="how often the model is swapped (10)")
    parser.add_argument("--load", type=float, default=0.5, help="part of the greatest load (0.5)")
    parser.add_argument("--made-up-books", type=int, default=0, help="books added to the models (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    try:
        swaps = _bench(arguments.swaps, arguments.load, arguments.made_up_books)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(
        "| calls | a second | failed | p50 / p99 before | in the windows | worst there | ratio of p99 |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        f"| {swaps.calls:,} | {swaps.calls_per_second:,.0f} | {swaps.failed} "
        f"| {swaps.p50_before_ms:.2f} / {swaps.p99_before_ms:.2f} ms "
        f"| {swaps.p50_in_windows_ms:.2f} / {swaps.p99_in_windows_ms:.2f} ms "
        f"| {swaps.worst_in_windows_ms:.1f} ms | {swaps.ratio:.2f} |\n\n"
        f"{arguments.swaps} swaps, {swaps.calls_in_windows:,} calls in windows of "
        f"{swaps.window_seconds:.1f} s; bars: 0 failed {_met(swaps.failed == 0)}, "
        f"p99 at most {_MOST:g} times the one before {_met(swaps.ratio <= _MOST)}\n"
        f"resident memory of the service: {swaps.resident_before_mb:,.0f} MB before, "
        f"{swaps.resident_after_mb:,.0f} MB after"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(swaps) | {"ratio": swaps.ratio}, indent=2) + "\n")
    return 0


def _met(met: bool) -> str:
    return "met" if met else "NOT MET"


def _bench(swap_count: int, part: float, made_up_books: int) -> Swaps:
    require_h2load()
    server_core, load_core = two_cores()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="recommendations-bench-")))
        shop = Shop(directory)
        print("setting up the sample bookshop …", flush=True)
        shop.prepare()
        store = ModelStore.open(str(directory / "models"), cache_directory=directory / "models-cache")
        versions = [_saved(store, made_up_books, later_seconds=number) for number in (1, 2)]
        # Promoting verifies a model, which must not take the service's core.
        os.sched_setaffinity(0, {load_core})
        started = time.monotonic()
        store.promote(versions[0])
        promote_seconds = time.monotonic() - started
        print(f"two models of {store.list()[0].size_bytes / 1e6:,.1f} MB each", flush=True)
        (readers,) = shop.draw_readers(1, _READERS, _UNKNOWN_READERS, _SEED)
        bodies = []
        for index, reader in enumerate(readers):
            bodies.append(directory / f"request-{index}")
            bodies[-1].write_bytes(framed(reader))
        service = stack.enter_context(
            running_service(
                shop,
                directory / "access.log",
                server_core,
                kept_answers=0,
                model_check_seconds=_CHECK_SECONDS,
            )
        )
        real_replies(service.plaintext_port, readers)
        capacity = send(service.plaintext_port, bodies, _CAPACITY_REQUESTS_EACH, load_core, 120)
        print(
            f"service on core {server_core}, load on core {load_core}; it answers "
            f"{capacity.requests_per_second:,.0f} calls a second at most, {part:.0%} of that are sent",
            flush=True,
        )
        # The service verifies a model too, at a quarter of the speed, on a core that is busy with calls.
        each = _CHECK_SECONDS + 12 * promote_seconds + _AFTER_TAKE_UP_SECONDS + _REST_SECONDS
        seconds = _BEFORE_SECONDS + swap_count * each
        rate_each = max(1, round(capacity.requests_per_second * part / len(bodies)))
        handled, resident_before = service.handled(), _resident_mb(service.pid)
        with _steady_load(service.plaintext_port, bodies, rate_each, seconds, load_core) as finished:
            time.sleep(_BEFORE_SECONDS)  # this is the load that the windows are compared with
            windows = []
            for number in range(swap_count):
                began = _swap(service, store, versions[(number + 1) % 2])
                time.sleep(_AFTER_TAKE_UP_SECONDS)  # calls that find memory cold still belong to the swap
                windows.append((began, time.time_ns() // 1000))
                time.sleep(_REST_SECONDS)
            sent = finished()
        counted = {code: count - handled.get(code, 0) for code, count in service.handled().items()}
        resident = (resident_before, _resident_mb(service.pid))
        return _measured(_calls(bodies), sent, counted, windows, resident)


def _saved(store: ModelStore, made_up_books: int, later_seconds: int) -> str:
    """Save the model in use with more books, as if trained some seconds later; return its version."""
    model = store.load()
    manifest = store.manifest(model.version)
    chance = np.random.default_rng(_SEED)
    made_up = made_up_books * _NEIGHBOURS
    larger = replace(
        model,
        trained_at=model.trained_at + later_seconds * 1_000_000,
        book_ids=np.append(model.book_ids, model.book_ids[-1] + 1 + np.arange(made_up_books)),
        indptr=np.append(model.indptr, model.indptr[-1] + _NEIGHBOURS * (1 + np.arange(made_up_books))),
        indices=np.append(model.indices, chance.integers(0, made_up_books + 1, made_up, dtype=np.int32)),
        weights=np.append(model.weights, chance.random(made_up, dtype=np.float32)),
        popularity=np.append(model.popularity, np.zeros(made_up_books, dtype=np.float32)),
    )
    return store.save(larger, settings=manifest["settings"], data_digest=manifest["data_digest"])


def _resident_mb(pid: int) -> float:
    """Return the memory that a process has; from proc(5)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _swap(service: Service, store: ModelStore, version: str) -> int:
    """Promote a version, wait until the service answers from it, and return when it was promoted (µs)."""
    store.promote(version)
    promoted_at = time.time_ns() // 1000
    until = time.monotonic() + _LONGEST_TAKE_UP_SECONDS
    with grpc.insecure_channel(f"localhost:{service.plaintext_port}") as channel:
        model = RecommendationServiceStub(channel).GetModel
        while model(GetModelRequest(), timeout=10).version != version:
            if time.monotonic() > until:
                raise BenchError(f"model {version} was not taken up")
            time.sleep(0.02)
    return promoted_at


@contextmanager
def _steady_load(
    port: int, bodies: list[Path], rate_each: int, seconds: float, core: int
) -> Iterator[Callable[[], int]]:
    """Send each body at a rate; gives what waits for the end and returns how many calls were sent."""
    count = round(rate_each * seconds)
    with children_on(core):
        processes = [
            subprocess.Popen(
                [
                    "h2load",
                    f"--requests={count}",
                    f"--rps={rate_each}",
                    "--clients=1",
                    f"--max-concurrent-streams={STREAMS_EACH * 2}",
                    f"--data={body}",
                    f"--log-file={_log_of(body)}",
                    "--header=te: trailers",
                    "--header=content-type: application/grpc",
                    f"http://127.0.0.1:{port}{_PATH}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
            )
            for body in bodies
        ]

    def finish() -> int:
        for process in processes:
            process.wait(seconds * 3 + 60)
        return count * len(bodies)

    try:
        yield finish
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _log_of(body: Path) -> Path:
    return body.with_suffix(".swaps.log")


def _calls(bodies: list[Path]) -> NDArray[np.int64]:
    """Join h2load's logs, of lines with: start in µs since 1970, HTTP status, µs until the end."""
    return np.concatenate([np.loadtxt(_log_of(body), dtype=np.int64, ndmin=2) for body in bodies])


def _measured(
    calls: NDArray[np.int64],
    sent: int,
    counted: dict[str, int],
    windows: list[tuple[int, int]],
    resident_mb: tuple[float, float],
) -> Swaps:
    starts, statuses, took = calls.T
    ends = starts + took
    # A call belongs to a window if any of it happened there.
    inside = np.zeros(len(calls), dtype=bool)
    for began, ended in windows:
        inside |= (ends >= began) & (starts <= ended)
    before = ends < windows[0][0]
    if not before.any() or not inside.any():
        raise BenchError("the load did not last over the swaps")
    if ends.max() < windows[-1][1]:
        raise BenchError("the load ended before the last swap did")
    p50_before, p99_before = np.percentile(took[before], [50, 99]) / 1000
    p50_inside, p99_inside = np.percentile(took[inside], [50, 99]) / 1000
    # gRPC's own status is in trailers, which only the service's count tells.
    good = min(counted.get("OK", 0), int(np.count_nonzero(statuses == 200)))
    return Swaps(
        calls=sent,
        failed=sent - good,
        calls_per_second=len(calls) / ((ends.max() - starts.min()) / 1e6),
        calls_in_windows=int(np.count_nonzero(inside)),
        window_seconds=float(np.mean([ended - began for began, ended in windows])) / 1e6,
        p50_before_ms=float(p50_before),
        p99_before_ms=float(p99_before),
        p50_in_windows_ms=float(p50_inside),
        p99_in_windows_ms=float(p99_inside),
        worst_in_windows_ms=float(took[inside].max()) / 1000,
        resident_before_mb=resident_mb[0],
        resident_after_mb=resident_mb[1],
    )


if __name__ == "__main__":
    sys.exit(main())
