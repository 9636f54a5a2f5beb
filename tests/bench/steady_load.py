"""Sends gRPC at a steady rate with h2load and reads when each call began and ended; knows no models."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.bench.cores import BenchError, children_on
from tests.bench.load import STREAMS_EACH

_PATH = "/onlinebooks.recommendations.v1.RecommendationService/Recommend"


class Calls(NamedTuple):
    """Every call that was sent: start and end in µs since 1970, HTTP status."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    statuses: NDArray[np.int64]

    def milliseconds_during(self, began: int, ended: int) -> NDArray[np.float64]:
        """Return how long those calls took of which any part happened in this time."""
        inside = (self.ends >= began) & (self.starts <= ended)
        if not inside.any() or self.ends.max() < ended:
            raise BenchError("the load did not last over the swaps")
        return (self.ends - self.starts)[inside] / 1000


@contextmanager
def steady_load(
    port: int, bodies: list[Path], rate_each: int, seconds: float, core: int
) -> Iterator[Callable[[], Calls]]:
    """Send each body at a rate; gives what waits for the end and returns the calls."""
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

    def finish() -> Calls:
        for process in processes:
            process.wait(seconds * 3 + 60)
        logs = [np.loadtxt(_log_of(body), dtype=np.int64, ndmin=2) for body in bodies]
        starts, statuses, took = np.concatenate(logs).T
        if len(starts) != count * len(bodies):
            raise BenchError(f"h2load sent {len(starts)} of {count * len(bodies)} calls")
        return Calls(starts, starts + took, statuses)

    try:
        yield finish
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _log_of(body: Path) -> Path:
    return body.with_suffix(".steady.log")
