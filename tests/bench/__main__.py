"""Measures and prints; see README.md in this folder.

    python -m tests.bench [--seconds 5] [--rounds 5] [--json FILE]

The exit code is 0 when measuring worked, whatever was measured, and 1 when it did not.
"""

import argparse
import json
import platform
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.cores import BenchError, cpu_seconds, two_cores
from tests.bench.load import STREAMS_EACH, require_h2load, send
from tests.bench.report import (
    COLD,
    CONSTANT,
    MTLS,
    PLAINTEXT,
    SERVERS,
    Measurement,
    Round,
    as_json,
    table,
    verdict,
)
from tests.bench.servers import Service, real_replies, running_module, running_service
from tests.bench.shop import Shop, framed

# Readers of one round: most drawn by how active they are, and one that the shop has never seen.
_KNOWN, _UNKNOWN = 7, 1
_SEED = 20_261_122
# Long enough for every thread to have its scratch and every cache its content.
_WARM_UP_REQUESTS_EACH = 400
# A run is sized by the warm-up's speed; one that takes this many times longer hangs.
_LONGEST_RUN = 10


@dataclass(frozen=True)
class _Target:
    pid: int  # of the server
    port: int  # for the load; the tunnel's for mutual TLS
    service: Service | None = None  # whose own count the load's is held against


def main() -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure the service with h2load."
    )
    parser.add_argument("--seconds", type=float, default=5, help="length of one run, about (5)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds, in each of which every server has a run (5)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    arguments = parser.parse_args()
    try:
        rounds = _bench(arguments.seconds, arguments.rounds)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"\n{table(rounds)}\n\n{verdict(rounds)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(rounds), indent=2) + "\n")
    return 0


def _bench(seconds: float, round_count: int) -> list[Round]:
    require_h2load()
    server_core, load_core = two_cores()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="recommendations-bench-")))
        shop = Shop(directory)
        print("setting up the sample bookshop …", flush=True)
        shop.prepare()
        readers = shop.draw_readers(round_count, _KNOWN, _UNKNOWN, _SEED)
        service = stack.enter_context(running_service(shop, directory / "access.log", server_core))
        cold = stack.enter_context(running_service(shop, directory / "cold.log", server_core, kept_answers=0))

        everyone = list(chain.from_iterable(readers))
        replies = real_replies(service.plaintext_port, everyone)
        real_replies(service.mtls_port, everyone, shop.certificates)
        reply = directory / "reply"
        reply.write_bytes(sorted(replies, key=len)[len(replies) // 2])
        constant_pid, constant_port = stack.enter_context(
            running_module(server_core, "constant_server", reply)
        )
        real_replies(constant_port, everyone)
        _, tunnel_port = stack.enter_context(
            running_module(load_core, "tunnel", service.mtls_port, shop.certificates)
        )
        targets = {
            CONSTANT: _Target(constant_pid, constant_port),
            COLD: _Target(cold.pid, cold.plaintext_port, cold),
            PLAINTEXT: _Target(service.pid, service.plaintext_port, service),
            MTLS: _Target(service.pid, tunnel_port, service),
        }
        print(
            f"Python {platform.python_version()}; servers on core {server_core}, load on core {load_core}; "
            f"{len(readers[0])} h2load processes with {STREAMS_EACH} calls in flight each, a reader to each: "
            f"{_KNOWN} drawn by their activity, {_UNKNOWN} unknown;\n"
            f"replies of {min(map(len, replies))} to {max(map(len, replies))} bytes, "
            f"the constant one has {reply.stat().st_size}; the access log goes to a file",
            flush=True,
        )
        rounds = []
        for number, drawn in enumerate(readers, start=1):
            bodies = []
            for index, reader in enumerate(drawn):
                bodies.append(directory / f"request-{index}")
                bodies[-1].write_bytes(framed(reader))
            measured = {}
            for server in SERVERS:
                measured[server] = _measure(targets[server], bodies, seconds, load_core)
                print(
                    f"round {number} of {round_count}: {server:9} "
                    f"{measured[server].load.requests_per_second:7,.0f} requests/s",
                    flush=True,
                )
            rounds.append(measured)
    return rounds


def _measure(target: _Target, bodies: list[Path], seconds: float, load_core: int) -> Measurement:
    warm_up = send(target.port, bodies, _WARM_UP_REQUESTS_EACH, load_core, timeout_seconds=60)
    requests_each = max(1, round(warm_up.requests_per_second * seconds / len(bodies)))
    handled = target.service.handled() if target.service else {}
    cpu, started = cpu_seconds(target.pid), time.monotonic()
    load = send(target.port, bodies, requests_each, load_core, timeout_seconds=60 + _LONGEST_RUN * seconds)
    cpu, wall_seconds = cpu_seconds(target.pid) - cpu, time.monotonic() - started
    if target.service:
        target.service.require_all_ok(handled, load.requests)
    return Measurement(load, 1e6 * cpu / load.requests, cpu / wall_seconds)


if __name__ == "__main__":
    sys.exit(main())
