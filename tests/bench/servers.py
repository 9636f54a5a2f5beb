"""Starts what is measured, each a process of its own on one core, and asks it whether it answers rightly."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from onlinebooks.recommendations.v1.recommendation_service_pb2 import RecommendRequest
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from prometheus_client.parser import text_string_to_metric_families

from tests.bench.cores import BenchError, children_on
from tests.bench.shop import Shop

_START_SECONDS = 60  # far longer than any start
_CALL_SECONDS = 10
_LIFTED = 1_000_000  # the largest rate that the settings allow: no limit is in the way


@dataclass(frozen=True)
class Service:
    """The running service and its ports."""

    pid: int
    plaintext_port: int
    mtls_port: int
    admin_port: int

    def handled(self) -> dict[str, int]:
        """Return how many calls of Recommend have ended, by their code."""
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=_CALL_SECONDS) as response:
            text = response.read().decode()
        return {
            sample.labels["grpc_code"]: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "grpc_server_handled_total"
            and sample.labels["grpc_method"] == "Recommend"
            and sample.labels["grpc_service"].startswith("onlinebooks.")
        }

    def require_all_ok(self, before: dict[str, int], requests: int) -> None:
        """Hold a load's count against ours: h2load sees an HTTP status of 200 where gRPC failed too."""
        after = self.handled()
        moved = {
            code: count - before.get(code, 0) for code, count in after.items() if count != before.get(code)
        }
        if moved != ({"OK": requests} if requests else {}):
            raise BenchError(f"{requests} calls were answered, and the service counted {moved}")


@contextmanager
def running_service(
    shop: Shop, log: Path, core: int | None, *, workers: int = 1, **settings: object
) -> Iterator[Service]:
    """Run `recommendations serve` with its access log in a file; several workers choose their cores."""
    ports = _free_ports(3)
    environment = shop.environment(
        host="127.0.0.1",
        port=ports[0],
        plaintext_port=ports[1],
        admin_host="127.0.0.1",
        admin_port=ports[2],
        rate_per_second=_LIFTED,
        rate_burst=_LIFTED,
        drain_seconds=0,
        **settings,
    )
    with log.open("wb") as lines, children_on(core):
        command = [sys.executable, "-m", "service", "serve", "--workers", str(workers)]
        process = subprocess.Popen(command, env=environment, stderr=lines)
    try:
        _wait_until_ready(process, ports[2], log)
        yield Service(process.pid, plaintext_port=ports[1], mtls_port=ports[0], admin_port=ports[2])
    finally:
        _end(process)


@contextmanager
def running_module(core: int, module: str, *arguments: object) -> Iterator[tuple[int, int]]:
    """Run a module of this folder that prints its port; give its process id and that port."""
    with children_on(core):
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)], stdout=subprocess.PIPE
        )
    try:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        if not first_line:
            raise BenchError(f"tests.bench.{module} ended at its start")
        yield process.pid, int(first_line)
    finally:
        _end(process)


def real_replies(port: int, readers: list[int], certificates: Path | None = None) -> list[bytes]:
    """Ask for each reader once with a real client, over mutual TLS where there are certificates."""
    address = f"localhost:{port}"
    if certificates is None:
        channel = grpc.insecure_channel(address)
    else:
        ca, key, certificate = (
            (certificates / name).read_bytes() for name in ("ca.crt", "client.key", "client.crt")
        )
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate))
    with channel:
        recommend = RecommendationServiceStub(channel).Recommend
        try:
            replies = [
                recommend(RecommendRequest(reader_id=reader), timeout=_CALL_SECONDS) for reader in readers
            ]
        except grpc.RpcError as error:
            raise BenchError(f"a call before the load failed: {error.code()}: {error.details()}") from error
    for reader, reply in zip(readers, replies, strict=True):
        if not reply.books:
            raise BenchError(f"reader {reader} was recommended nothing")
    return [reply.SerializeToString() for reply in replies]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait_until_ready(process: subprocess.Popen[bytes], admin_port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise BenchError(f"the service ended at its start: {log.read_text().strip()[-500:]}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/readyz", timeout=1).close()
        except OSError:  # refused, not ready, or too slow to answer
            time.sleep(0.1)
        else:
            return
    raise BenchError(f"the service was not ready within {_START_SECONDS} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_CALL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
