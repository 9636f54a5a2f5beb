"""Sends gRPC with h2load and counts what came back; knows nothing of what the servers do.

h2load repeats one request, so a mix of readers is as many h2load processes at a time as there are readers.
Calls queue at the server in the order of their arrival, so each process gets the same share of it: the mix
stays as it was drawn, whatever each reader costs.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bench.cores import BenchError, children_on

STREAMS_EACH = 8  # calls in flight of each process, on one connection

_PATH = "/onlinebooks.recommendations.v1.RecommendationService/Recommend"
_DONE = re.compile(r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded")
_OK = re.compile(r"status codes: (\d+) 2xx")


@dataclass(frozen=True)
class Load:
    """What one run measured; every request of it was answered with an HTTP status of 200."""

    requests: int
    requests_per_second: float  # while all processes were at work
    p50_ms: float
    p99_ms: float


def require_h2load() -> None:
    """Raise BenchError where h2load is not installed."""
    if shutil.which("h2load") is None:
        raise BenchError("h2load is not installed; get it with: apt-get install nghttp2-client")


def send(port: int, bodies: list[Path], requests_each: int, core: int | None, timeout_seconds: float) -> Load:
    """Send each body so many times, all bodies at once, from one core or from all."""
    with children_on(core):
        processes = [_start(port, body, requests_each) for body in bodies]
    try:
        outputs = [process.communicate(timeout=timeout_seconds)[0] for process in processes]
    except subprocess.TimeoutExpired:
        raise BenchError(f"h2load was not done after {timeout_seconds:.0f} s") from None
    finally:
        for process in processes:
            process.kill()
    for output in outputs:
        done, status = _DONE.search(output), _OK.search(output)
        if not done or not status or {done[1], done[2], status[1]} != {str(requests_each)}:
            raise BenchError(f"h2load: not all of {requests_each} requests were answered:\n{output}")
    return _measured([_log_of(body) for body in bodies])


def _log_of(body: Path) -> Path:
    return body.with_suffix(".log")


def _start(port: int, body: Path, requests: int) -> subprocess.Popen[str]:
    _log_of(body).unlink(missing_ok=True)  # h2load appends
    return subprocess.Popen(
        [
            "h2load",
            f"--requests={requests}",
            "--clients=1",
            f"--max-concurrent-streams={STREAMS_EACH}",
            f"--data={body}",
            f"--log-file={_log_of(body)}",
            "--header=te: trailers",
            "--header=content-type: application/grpc",
            f"http://127.0.0.1:{port}{_PATH}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _measured(logs: list[Path]) -> Load:
    """Join h2load's logs, of lines with: start in µs since 1970, status, µs until the end."""
    tables = [np.loadtxt(log, dtype=np.int64, ndmin=2) for log in logs]
    starts = [table[:, 0] for table in tables]
    ends = [table[:, 0] + table[:, 2] for table in tables]
    # Processes start and finish some milliseconds apart; in between all of them are at work.
    begin, end = max(each.min() for each in starts), min(each.max() for each in ends)
    if end <= begin:
        raise BenchError("the h2load processes did not run at the same time")
    finished = np.concatenate(ends)
    inside = np.count_nonzero((finished > begin) & (finished <= end))
    p50, p99 = np.percentile(np.concatenate([table[:, 2] for table in tables]), [50, 99]) / 1000
    return Load(len(finished), inside / ((end - begin) / 1e6), float(p50), float(p99))
