"""One client on one connection that asks for one reader after the other; knows nothing of the servers."""

import json
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import grpc
import numpy as np
from onlinebooks.recommendations.v1.recommendation_service_pb2 import RecommendRequest, RecommendResponse

from tests.bench.cores import BenchError, children_on

_PATH = "/onlinebooks.recommendations.v1.RecommendationService/Recommend"
_CALL_SECONDS = 10


@dataclass
class Latencies:
    """How long calls took: of each round its median and its 99th percentile, in ms."""

    p50s: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    books: list[int] = field(default_factory=list)  # in each answer

    @property
    def p50(self) -> float:
        """The middle of the rounds' medians."""
        return median(self.p50s)

    @property
    def p99(self) -> float:
        """The middle of the rounds' 99th percentiles."""
        return median(self.p99s)


def ask(port: int, certificates: Path, readers: list[int], core: int, warm_up: int, into: Latencies) -> None:
    """Ask for each reader over mutual TLS, once the answer before is there; the first ones do not count."""
    ca, key, certificate = (
        (certificates / name).read_bytes() for name in ("ca.crt", "client.key", "client.crt")
    )
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    requests = [RecommendRequest(reader_id=reader).SerializeToString() for reader in readers]
    # The threads that the channel starts run where this one may.
    with children_on(core), grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        recommend = channel.unary_unary(_PATH)
        seconds, replies = [], []
        try:
            for request in requests:
                started = time.perf_counter()
                replies.append(recommend(request, timeout=_CALL_SECONDS))
                seconds.append(time.perf_counter() - started)
        except grpc.RpcError as error:
            raise BenchError(f"a call failed: {error.code()}: {error.details()}") from error
    p50, p99 = np.percentile(seconds[warm_up:], [50, 99]) * 1000
    into.p50s.append(float(p50))
    into.p99s.append(float(p99))
    into.books += [len(RecommendResponse.FromString(reply).books) for reply in replies[warm_up:]]
    if not min(into.books):
        raise BenchError("a reader was recommended nothing")


def served_ms(log: Path, count: int) -> float:
    """Return the median time that the service itself took for its latest calls, as its access log says."""
    with log.open() as lines:
        calls = deque((line for line in lines if '"Recommend"' in line or "/Recommend" in line), count)
    return median(json.loads(line)["duration_ms"] for line in calls)
