"""What health says from start to stop, and that stopping ends what was begun."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.wire.batches import reads, writes_begun
from tests.wire.open_streams import OpenStream
from tests.world import RunningApp, refused, wait_until

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
SERVICES = [
    "",
    "Recommendations",
    "onlinebooks.recommendations.v1.RecommendationService",
    "onlinebooks.recommendations.v1.CatalogueService",
]
RECOMMEND = pb.RecommendRequest(reader_id=1)


def status(client, name: str = "") -> int:
    return client.health.Check(HealthCheckRequest(service=name)).status


@contextmanager
def stopping(service: RunningApp) -> Iterator[tuple[threading.Thread, threading.Event]]:
    """Stop the service in a thread of its own; yield that and the event that hurries it."""
    hurry = threading.Event()
    thread = threading.Thread(target=service.app.stop, args=(hurry,))
    thread.start()
    try:
        yield thread, hurry
    finally:
        hurry.set()
        thread.join(20)
        assert not thread.is_alive()


def test_every_name_is_serving_once_the_service_is_up(service):
    assert [status(service.client, name) for name in SERVICES] == [SERVING] * len(SERVICES)
    everything = service.client.health.List(HealthListRequest()).statuses
    assert {name: answer.status for name, answer in everything.items()} == dict.fromkeys(SERVICES, SERVING)


def test_unknown_name_is_not_found(service):
    assert refused(status, service.client, "Bakery").code is grpc.StatusCode.NOT_FOUND


def test_ready_page_lists_the_conditions(service):
    page = json.loads(service.get("/readyz"))
    assert page["ready"] is True
    assert set(page["conditions"]) == {"catalogue", "model", "serving", "not_draining", "database"}


@pytest.mark.parametrize("name", SERVICES)
def test_draining_is_told_at_once_while_calls_are_still_answered(start, name):
    service = start(drain_seconds=60)
    client = service.client
    watch = client.health.Watch(HealthCheckRequest(service=name))
    assert next(watch).status == SERVING
    with stopping(service) as (thread, _):
        assert next(watch).status == NOT_SERVING
        assert status(client, name) == NOT_SERVING
        with pytest.raises(HTTPError) as unready:
            service.get("/readyz")
        assert unready.value.code == 503
        assert json.loads(unready.value.read())["conditions"]["not_draining"]["value"] is False
        assert service.get("/livez")
        assert client.recommendations.Recommend(RECOMMEND).books
        late = service.connect(service.certificates.pair("client"))
        assert late.recommendations.Recommend(RECOMMEND).books
        assert thread.is_alive()


def test_watch_ends_well_when_the_drain_is_over(start):
    service = start(drain_seconds=0.2)
    watch = service.client.health.Watch(HealthCheckRequest())
    assert next(watch).status == SERVING
    with stopping(service) as (thread, _):
        assert {answer.status for answer in watch} <= {NOT_SERVING}
        assert watch.code() is grpc.StatusCode.OK
        thread.join(20)
        assert not thread.is_alive()


def test_second_signal_ends_the_drain_and_the_calls_at_once(start):
    service = start(drain_seconds=600, grace_seconds=600)
    stream = OpenStream(service.client.recommendations)
    assert stream.ask().response.books
    with stopping(service) as (thread, hurry):
        assert status(service.client) == NOT_SERVING
        hurry.set()
        thread.join(20)
        assert not thread.is_alive()
    cut = refused(list, stream.answers)
    assert cut.code in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
    stream.end_requests()


def test_second_signal_ends_the_grace_too(start):
    service = start(grace_seconds=600)
    stream = OpenStream(service.client.recommendations)
    assert stream.ask().response.books
    with stopping(service) as (thread, hurry):
        wait_until(lambda: new_call_is_refused(service))
        assert thread.is_alive()
        hurry.set()
        thread.join(20)
        assert not thread.is_alive()
    stream.end_requests()


# A call that is on its way when the server stops is reset by gRPC itself, which its client sees as CANCELLED:
# https://github.com/grpc/grpc/issues/41785
REFUSED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


def outcome(service: RunningApp) -> grpc.StatusCode:
    try:
        service.client.recommendations.Recommend(RECOMMEND, timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def new_call_is_refused(service: RunningApp) -> bool:
    return outcome(service) in REFUSED


def test_stream_that_was_open_at_the_stop_goes_on_to_its_end(start):
    service = start(grace_seconds=60)
    stream = OpenStream(service.client.recommendations)
    assert stream.ask().response.books
    with stopping(service) as (thread, _):
        wait_until(lambda: new_call_is_refused(service))
        assert all(stream.ask().response.books for _ in range(100))
        assert stream.end() == []
        assert stream.answers.code() is grpc.StatusCode.OK
        thread.join(20)
        assert not thread.is_alive()


def test_write_that_was_in_flight_at_the_stop_is_stored_and_acknowledged(start):
    service = start(grace_seconds=60)
    stored = service.shop.counts()[1]
    other = sqlite3.connect(service.shop.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    pending = service.client.recommendations.RecordInteractions.future(reads(10))
    wait_until(lambda: writes_begun(service) == 1)
    with stopping(service) as (thread, _):
        wait_until(lambda: new_call_is_refused(service))
        other.execute("ROLLBACK")
        other.close()
        assert pending.result().recorded_count == 10
        thread.join(20)
        assert not thread.is_alive()
    assert service.shop.counts()[1] == stored + 10


def test_calls_that_go_on_through_a_stop_are_answered_or_can_be_made_elsewhere(start):
    service = start(drain_seconds=0.2)
    codes, done = set(), threading.Event()

    def keep_calling() -> None:
        while not done.is_set():
            codes.add(outcome(service))

    callers = [threading.Thread(target=keep_calling) for _ in range(3)]
    for caller in callers:
        caller.start()
    wait_until(lambda: codes)
    with stopping(service) as (thread, _):
        thread.join(20)
    wait_until(lambda: grpc.StatusCode.UNAVAILABLE in codes)
    done.set()
    for caller in callers:
        caller.join(20)
    assert codes <= {grpc.StatusCode.OK} | REFUSED
