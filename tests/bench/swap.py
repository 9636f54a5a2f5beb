"""What swapping the model costs the calls meanwhile: how many fail, and their 99th percentile.

    python -m tests.bench.swap [--swaps 10] [--load 0.5] [--made-up-books 0] [--bucket] [--json FILE]

The whole service, pinned to one core, answers a steady load: that part of what it can answer at most, with
no kept answers. Two models are promoted in turn. A round is some seconds of calm, then a swap, whose window
begins with the promotion and ends a second after the service answers from the other model; ratios are taken
within a round. Made-up books, which nobody has read, make the models as large as a larger shop's: a million
are 0.8 GB to verify. With --bucket the models are in a real S3 server's and are downloaded at each swap. The
exit code is 0 when measuring worked.
"""

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import numpy as np
from onlinebooks.recommendations.v1.recommendation_service_pb2 import GetModelRequest
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from service.models import ModelStore
from tests.bench.cores import BenchError, two_cores
from tests.bench.load import require_h2load, send
from tests.bench.servers import Service, real_replies, running_service
from tests.bench.shop import Shop, framed
from tests.bench.steady_load import steady_load
from tests.bench.swap_figures import Swaps, Window, report, round_of
from tests.bench.swap_models import swap_models

_READERS, _UNKNOWN_READERS = 7, 1
_SEED = 20_261_124
_CAPACITY_REQUESTS_EACH = 2000
_CALM_SECONDS = 5.0
_AFTER_TAKE_UP_SECONDS = 1.0
_CHECK_SECONDS = 0.5
_LONGEST_TAKE_UP_SECONDS = 60.0


def main() -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.swap", description="Swap the model under load."
    )
    parser.add_argument("--swaps", type=int, default=10, help="how often the model is swapped (10)")
    parser.add_argument("--load", type=float, default=0.5, help="part of the greatest load (0.5)")
    parser.add_argument("--made-up-books", type=int, default=0, help="books added to the models (0)")
    parser.add_argument("--bucket", action="store_true", help="put the models into a bucket")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    try:
        swaps = _bench(arguments.swaps, arguments.load, arguments.made_up_books, in_bucket=arguments.bucket)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report(swaps))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(swaps), indent=2) + "\n")
    return 0


def _bench(swap_count: int, part: float, made_up_books: int, *, in_bucket: bool) -> Swaps:
    require_h2load()
    server_core, load_core = two_cores()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="recommendations-bench-")))
        shop = Shop(directory)
        print("setting up the sample bookshop …", flush=True)
        shop.prepare()
        models = stack.enter_context(
            swap_models(directory, made_up_books, in_bucket=in_bucket, core=load_core)
        )
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
                **models.settings,
            )
        )
        # Promoting verifies a model, which must not take the service's core.
        os.sched_setaffinity(0, {load_core})
        started = time.monotonic()
        _swap(service, models.store, models.versions[1])
        swap_seconds = time.monotonic() - started
        real_replies(service.plaintext_port, readers)
        capacity = send(service.plaintext_port, bodies, _CAPACITY_REQUESTS_EACH, load_core, 120)
        print(
            f"service on core {server_core}, load on core {load_core}; it answers "
            f"{capacity.requests_per_second:,.0f} calls a second at most, {part:.0%} of that are sent",
            flush=True,
        )
        # On a core that is busy with calls, a swap takes several times as long as on one that is not.
        seconds = swap_count * (_CALM_SECONDS + 3 * swap_seconds + _AFTER_TAKE_UP_SECONDS)
        rate_each = max(1, round(capacity.requests_per_second * part / len(bodies)))
        handled, resident_before = service.handled(), _resident_mb(service.pid)
        with steady_load(service.plaintext_port, bodies, rate_each, seconds, load_core) as finished:
            windows = [
                _calm_and_swap(service, models.store, models.versions[number % 2])
                for number in range(swap_count)
            ]
            calls = finished()
        counted = {code: count - handled.get(code, 0) for code, count in service.handled().items()}
        # gRPC's own status is in trailers, which only the service's count tells.
        good = min(counted.get("OK", 0), int(np.count_nonzero(calls.statuses == 200)))
        return Swaps(
            model_mb=models.size_bytes / 1e6,
            calls=len(calls.starts),
            failed=len(calls.starts) - good,
            calls_per_second=len(calls.starts) / ((calls.ends.max() - calls.starts.min()) / 1e6),
            resident_before_mb=resident_before,
            resident_after_mb=_resident_mb(service.pid),
            rounds=[round_of(calls, calm, window) for calm, window in windows],
        )


def _calm_and_swap(service: Service, store: ModelStore, version: str) -> tuple[Window, Window]:
    calm_began = _now()
    time.sleep(_CALM_SECONDS)  # this is the load that the window is compared with
    calm_ended = _now()
    promoted_at = _swap(service, store, version)
    time.sleep(_AFTER_TAKE_UP_SECONDS)  # calls that find memory cold still belong to the swap
    return (calm_began, calm_ended), (promoted_at, _now())


def _swap(service: Service, store: ModelStore, version: str) -> int:
    """Promote a version, wait until the service answers from it, and return when it was promoted (µs)."""
    store.promote(version)
    promoted_at = _now()
    until = time.monotonic() + _LONGEST_TAKE_UP_SECONDS
    with grpc.insecure_channel(f"localhost:{service.plaintext_port}") as channel:
        model = RecommendationServiceStub(channel).GetModel
        while model(GetModelRequest(), timeout=10).version != version:
            if time.monotonic() > until:
                raise BenchError(f"model {version} was not taken up")
            time.sleep(0.02)
    return promoted_at


def _now() -> int:
    return time.time_ns() // 1000


def _resident_mb(pid: int) -> float:
    """Return the memory that a process has; from proc(5)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
