"""Real servers on free ports, and a deadline for whatever has to happen soon."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Poll until the condition holds; fails after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Start a server of two threads with what `register(server)` adds; returns its port."""
    with ExitStack() as running:

        def start(register: Callable[[grpc.Server], None], interceptors=()) -> int:
            server = grpc.server(
                running.enter_context(ThreadPoolExecutor(2)),
                interceptors=interceptors,
                options=[("grpc.so_reuseport", 0)],
            )
            register(server)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            running.callback(lambda: server.stop(0).wait(10))
            return port

        yield start


@pytest.fixture
def connect() -> Iterator[Callable[[int], grpc.Channel]]:
    """Open a channel to a port; it is closed at the end."""
    with ExitStack() as open_channels:
        yield lambda port: open_channels.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
