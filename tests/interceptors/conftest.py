"""Fixtures: a server behind a chain of interceptors, and the lines of its access log."""

import json

import pytest

from interceptors.chain import Chain
from tests.interceptors.echo_service import Echo, echo, echo_each, join, spell, wait_until


@pytest.fixture
def serve():
    """Return a function that serves behind a chain of the given interceptors."""
    running = []

    def start(
        *interceptors,
        unary=echo,
        client_stream=join,
        server_stream=spell,
        bidi=echo_each,
        add_services=lambda server: None,
    ) -> Echo:
        running.append(Echo([Chain(interceptors)], unary, client_stream, server_stream, bidi, add_services))
        return running[-1]

    yield start
    for server in running:
        server.close()


class Lines(list):
    """What an AccessLog wrote, parsed; a line may come a moment after the client has its answer."""

    def __call__(self, line: str) -> None:
        assert line.endswith("}\n")
        assert line.count("\n") == 1
        self.append(json.loads(line))

    def wait(self, count: int = 1) -> "Lines":
        wait_until(lambda: len(self) >= count)
        assert len(self) == count
        return self


@pytest.fixture
def lines() -> Lines:
    return Lines()
