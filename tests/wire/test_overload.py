"""More work than the service takes: it says so at once, with when to come back, and health still answers."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.wire.batches import reads, writes_begun
from tests.wire.open_streams import OpenStream
from tests.world import refusal_of, refused, wait_until

RECOMMEND = pb.RecommendRequest(reader_id=1, page_size=1)


def is_healthy(client) -> bool:
    return client.health.Check(HealthCheckRequest()).status == HealthCheckResponse.SERVING


def refused_calls(service, limit: str) -> float:
    return service.metrics()[f'recommendations_refused_calls_total{{limit="{limit}"}}']


@contextmanager
def slow_writes(service) -> Iterator[None]:
    """Let writes wait until the block ends, which is to be soon: they give up after two seconds."""
    other = sqlite3.connect(service.shop.file, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@contextmanager
def slow_reads(service) -> Iterator[threading.Semaphore]:
    """Let recommendations wait until the block ends; the semaphore counts those that have begun."""
    recommender = service.app.recommender
    recommend, begun, go = recommender.recommend, threading.Semaphore(0), threading.Event()

    def wait_first(query):
        begun.release()
        go.wait(20)
        return recommend(query)

    recommender.recommend = wait_first
    try:
        yield begun
    finally:
        go.set()
        del recommender.recommend


def test_identity_beyond_its_rate_is_told_when_to_come_back_and_others_are_not_touched(start):
    service = start(rate_per_second=0.1, rate_burst=3)
    recommend = service.client.recommendations.Recommend
    for _ in range(3):
        recommend(RECOMMEND)
    refusal = refused(recommend, RECOMMEND)
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal.reason == "RATE_LIMITED"
    assert 0 < refusal.retry_seconds <= 10
    assert refusal.message == ("too many requests: 0.1 a second with bursts of 3 is the limit of each client")
    again = service.connect(service.certificates.pair("client"))  # the same identity
    assert refused(again.recommendations.Recommend, RECOMMEND).reason == "RATE_LIMITED"
    assert service.reader.recommendations.Recommend(RECOMMEND).books
    assert all(is_healthy(service.client) for _ in range(10))
    assert refused_calls(service, "rate") == 2


def test_denied_calls_cost_nobody_elses_share(start):
    service = start(rate_per_second=0.1, rate_burst=1)
    for _ in range(5):
        denied = refused(service.reader.recommendations.ForgetReader, pb.ForgetReaderRequest(reader_id=1))
        assert denied.code is grpc.StatusCode.PERMISSION_DENIED
    assert service.reader.recommendations.Recommend(RECOMMEND).books


def test_streams_beyond_the_limit_are_refused_at_once_and_calls_go_on(start):
    service = start(stream_threads=2)
    stub = service.client.recommendations
    taken = [OpenStream(stub), OpenStream(service.reader.recommendations)]
    for stream in taken:
        assert stream.ask().response.books
    for _ in range(10):
        refusal = refused(OpenStream(stub).ask)
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.message == "the server is busy: 2 streams at a time is its limit"
        assert refusal.retry_seconds > 0
    assert stub.Recommend(RECOMMEND).books
    assert is_healthy(service.client)
    assert refused_calls(service, "streams") == 10
    assert taken[0].end() == []
    service.log(13)  # the line of the stream that ended, after which its place is free
    assert OpenStream(stub).ask().response.books
    assert taken[1].ask().response.books


def test_one_identity_can_not_take_all_streams(start):
    service = start(stream_threads=4)
    stub = service.client.recommendations
    taken = [OpenStream(stub) for _ in range(2)]
    for stream in taken:
        assert stream.ask().response.books
    refusal = refused(OpenStream(stub).ask)
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal.message == ("too many streams: 2 of the server's 4 at a time is the limit of each client")
    assert refusal.retry_seconds > 0
    assert OpenStream(service.reader.recommendations).ask().response.books
    assert refused_calls(service, "streams") == 1
    assert taken[0].end() == []
    wait_until(lambda: not refusal_or_none(OpenStream(stub).ask))


def test_unknown_method_is_told_as_such_while_all_streams_are_taken(start):
    service = start(stream_threads=1)
    assert OpenStream(service.client.recommendations).ask().response.books
    for _ in range(5):
        refusal = refused(service.client.send, "/nobody.Serves/This", b"")
        assert refusal.code is grpc.StatusCode.UNIMPLEMENTED


def test_watches_of_health_take_no_place_of_a_stream(start):
    service = start(stream_threads=1)
    watches = [service.client.health.Watch(HealthCheckRequest()) for _ in range(20)]
    assert {next(watch).status for watch in watches} == {HealthCheckResponse.SERVING}
    assert OpenStream(service.client.recommendations).ask().response.books
    for watch in watches:
        watch.cancel()


def test_calls_beyond_those_in_flight_are_shed_and_those_taken_up_end_well(start):
    service = start(max_in_flight=2, handler_threads=3)
    stub = service.client.recommendations
    with slow_reads(service) as begun:
        taken = [stub.Recommend.future(RECOMMEND) for _ in range(2)]
        assert all(begun.acquire(timeout=20) for _ in taken)
        shed = refused(stub.Recommend, RECOMMEND)
        assert is_healthy(service.client)
        assert stub.RecordInteractions(reads(10)).recorded_count == 10
    assert shed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert shed.reason == "SERVER_BUSY"
    assert shed.message == "the server is busy: 2 calls at a time is its limit"
    assert 0 < shed.retry_seconds <= 1
    assert all(each.result().books for each in taken)
    assert refused_calls(service, "in_flight") == 1
    wait_until(lambda: not refusal_or_none(stub.Recommend, RECOMMEND))


def test_writes_that_wait_take_no_place_of_a_read(start):
    service = start(max_in_flight=1, handler_threads=2)
    stub = service.client.recommendations
    with slow_writes(service):
        taken = [stub.RecordInteractions.future(reads(10, f"batch-{n}")) for n in range(5)]
        wait_until(lambda: writes_begun(service) == 5)
        assert stub.Recommend(RECOMMEND).books
        assert is_healthy(service.client)
    assert {each.code() for each in taken} <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert refused_calls(service, "in_flight") == refused_calls(service, "writes") == 0


def refusal_or_none(call, *arguments):
    try:
        call(*arguments)
    except grpc.RpcError as error:
        return refusal_of(error)
    return None


def test_flood_is_shed_without_a_call_left_hanging(start):
    """Each is answered or refused, none of them late: more writes at once than have places."""
    service = start(handler_threads=2)
    stub = service.client.recommendations
    with slow_writes(service):
        pending = [stub.RecordInteractions.future(reads(1, f"flood-{n}"), timeout=30) for n in range(300)]
        wait_until(lambda: refused_calls(service, "writes") > 0)
    codes = [each.code() for each in pending]
    assert set(codes) <= {
        grpc.StatusCode.OK,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
    }
    assert codes.count(grpc.StatusCode.OK) >= 2
    before = service.shop.counts()[1]
    assert stub.RecordInteractions(reads(1, "flood-0")).recorded_count in (0, 1)
    acknowledged = {f"flood-{n}" for n, code in enumerate(codes) if code is grpc.StatusCode.OK}
    again = [stub.RecordInteractions(reads(1, name)).duplicate_count for name in sorted(acknowledged)]
    assert again == [1] * len(acknowledged)
    assert service.shop.counts()[1] - before in (0, 1)


@pytest.mark.parametrize("limit", [1024, 100_000])
def test_largest_message_is_a_setting(start, limit):
    service = start(max_request_bytes=limit)
    call = service.client.recommendations.RecordInteractions
    assert refused(call, reads(10_000)).code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert call(reads(1)).recorded_count == 1
