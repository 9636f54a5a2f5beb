"""Call the service without pause and print a JSON line a second: milliseconds of calls, failures, writes.

Runs inside the cluster: a generated client with its own certificate, balancing over the headless Service.
A renewed certificate is taken up with a new channel. SIGUSR1 and SIGUSR2 turn a storm of calls on and off.
"""

import itertools
import json
import signal
import sys
import threading
import time
from pathlib import Path

import grpc
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

TARGET = "dns:///recommendations-headless.recommendations.svc.cluster.local:50051"
CERTIFICATE = Path("/certificate")
READERS, STORM_READERS = 2, 8
PAUSE_SECONDS = 0.02
# What README tells clients to set: ask each pod for its health, and the DNS again soon after a pod has gone.
OPTIONS = [
    (
        "grpc.service_config",
        json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}),
    ),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
]
_lock = threading.Lock()
_milliseconds: list[float] = []
_failures: dict[str, int] = {}
_writes = {"acknowledged": 0, "retries": 0}
_storm = threading.Event()


class Connection:
    """The stub of a channel, made anew when the certificate's files change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = b""
        self._stub = None

    def stub(self) -> RecommendationServiceStub:
        certificate = (CERTIFICATE / "tls.crt").read_bytes()
        with self._lock:
            if certificate != self._seen:
                credentials = grpc.ssl_channel_credentials(
                    (CERTIFICATE / "ca.crt").read_bytes(), (CERTIFICATE / "tls.key").read_bytes(), certificate
                )
                channel = grpc.secure_channel(TARGET, credentials, OPTIONS)
                grpc.channel_ready_future(channel).result(120)
                # The old channel ends when the calls that are under way let go of it.
                self._stub, self._seen = RecommendationServiceStub(channel), certificate
            return self._stub


def note(failure: str, began: float) -> None:
    """Count a call, and how it failed."""
    with _lock:
        _milliseconds.append(round((time.monotonic() - began) * 1000, 2))
        if failure:
            _failures[failure[:200]] = _failures.get(failure[:200], 0) + 1


def read(connection: Connection, number: int, storm: bool) -> None:
    readers = itertools.cycle(range(1 + number * 100, 3000))
    for reader in readers:
        if storm and not _storm.wait(1):
            continue
        began = time.monotonic()
        try:
            stub = connection.stub()
            if reader % 4:
                stub.Recommend(pb.RecommendRequest(reader_id=reader, page_size=10), timeout=5)
            else:
                stub.PopularBooks(pb.PopularBooksRequest(page_size=10), timeout=5)
            note("", began)
        except grpc.RpcError as error:
            note(f"{error.code().name}: {error.details()}", began)
        except Exception as error:  # noqa: BLE001  # no call went out: a failure like any other
            note(f"{type(error).__name__}: {error}", began)
        if not storm:
            time.sleep(PAUSE_SECONDS)


def write(connection: Connection) -> None:
    """Store interactions, each tried until it is acknowledged, as its id allows; giving up is a failure."""
    run = time.time_ns()
    for number in itertools.count():
        interaction = pb.Interaction(
            interaction_id=f"e2e-{run}-{number}", reader_id=1_000_000 + number, book_id=1 + number % 700,
            type=pb.INTERACTION_TYPE_READ,
        )  # fmt: skip
        began = time.monotonic()
        while True:
            try:
                connection.stub().RecordInteractions(
                    pb.RecordInteractionsRequest(interactions=[interaction]), timeout=10
                )
                _writes["acknowledged"] += 1
                break
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() - began > 90:
                    note(f"{error.code().name}: write: {error.details()}", began)
                    break
                _writes["retries"] += 1
                time.sleep(0.5)
        time.sleep(0.2)


def main() -> None:
    connection = Connection()
    connection.stub()
    work = [threading.Thread(target=read, args=(connection, n, False), daemon=True) for n in range(READERS)]
    work += [
        threading.Thread(target=read, args=(connection, n, True), daemon=True) for n in range(STORM_READERS)
    ]
    work.append(threading.Thread(target=write, args=(connection,), daemon=True))
    signal.signal(signal.SIGUSR1, lambda *_: _storm.set())
    signal.signal(signal.SIGUSR2, lambda *_: _storm.clear())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for thread in work:
        thread.start()
    while all(thread.is_alive() for thread in work):
        time.sleep(1)
        with _lock:
            line = {
                "time": time.time(),
                "ms": _milliseconds[:],
                "failures": dict(_failures),
                "writes": dict(_writes),
            }
            _milliseconds.clear()
            _failures.clear()
        print(json.dumps(line), flush=True)
    sys.exit("a thread of the client has ended")


main()
