"""Clients that begin a call and never send its message: others are answered, and they are cut off."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.wire.batches import reads
from tests.world import Client, RunningApp, wait_until

_SERVICE = pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name
PATHS = [f"/{_SERVICE}/Recommend", f"/{_SERVICE}/RecordInteractions", "/grpc.health.v1.Health/Check"]
RECOMMEND = pb.RecommendRequest(reader_id=1, page_size=1)


@contextmanager
def half_open_calls(client: Client, count: int) -> Iterator[list[grpc.Future]]:
    """Begin so many calls, the same number of each path; at the end of the block their messages end."""
    messages: queue.SimpleQueue = queue.SimpleQueue()
    try:
        yield [
            client.channel.stream_unary(PATHS[number % len(PATHS)]).future(iter(messages.get, None))
            for number in range(count)
        ]
    finally:
        for _ in range(count):
            messages.put(None)


def handler_count() -> int:
    return sum(thread.name.startswith("handler-") for thread in threading.enumerate())


def assert_answered(client: Client, name: str) -> None:
    assert client.recommendations.Recommend(RECOMMEND, timeout=20).books
    assert client.recommendations.RecordInteractions(reads(1, name), timeout=20).recorded_count == 1
    health = client.health.Check(HealthCheckRequest(), timeout=20)
    assert health.status == HealthCheckResponse.SERVING


def wait_until_back_to(count: int, service: RunningApp) -> None:
    def is_back() -> bool:
        service.client.recommendations.Recommend(RECOMMEND)
        return handler_count() == count

    wait_until(is_back)


def test_others_are_answered_while_calls_are_half_open(start):
    service = start(max_call_seconds=60)
    before = handler_count()
    other = service.connect(service.certificates.issue("other"))
    with half_open_calls(service.reader, 40) as half_open:
        wait_until(lambda: handler_count() >= before + 40)
        for number in range(3):
            assert_answered(service.client, f"meanwhile-{number}")
        assert other.health.Check(HealthCheckRequest(), timeout=20).status == HealthCheckResponse.SERVING
        assert not any(call.done() for call in half_open)
    for call in half_open:
        assert isinstance(call.exception(timeout=20), grpc.RpcError)
    wait_until_back_to(before, service)


def test_half_open_calls_are_ended_by_the_service_and_their_threads_too(start, caplog):
    """More than there can be threads: those behind get their turn, and their end, once the first are cut."""
    service = start(max_call_seconds=0.5)
    before = handler_count()
    with half_open_calls(service.reader, 100) as half_open:
        for call in half_open:
            assert call.exception(timeout=30).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert handler_count() <= before + 60
    assert_answered(service.client, "after")
    wait_until_back_to(before, service)
    assert any("calls were cut off" in record.getMessage() for record in caplog.records)


def test_service_stops_in_time_while_calls_are_half_open(start):
    service = start(max_call_seconds=60, grace_seconds=0.2)
    before = handler_count()
    with half_open_calls(service.reader, 8) as half_open:
        wait_until(lambda: handler_count() >= before + 8)
        service.app.stop(threading.Event())
        assert all(isinstance(call.exception(timeout=20), grpc.RpcError) for call in half_open)
