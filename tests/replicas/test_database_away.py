"""PostgreSQL goes away under a service: it answers on from memory, says so, and loses nothing."""

import json
import threading
import time

import grpc
import pytest
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as catalogue_pb
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.acquiring import Stopped
from service.app import App
from tests.postgres import PostgresServer
from tests.replicas.conftest import copy_books
from tests.replicas.test_following import NEW_READER, record, strategy_of
from tests.wire.batches import reads
from tests.world import refused, settings_for, wait_until


@pytest.fixture(scope="module")
def server():
    """A server that tests may stop; each starts it again."""
    with PostgresServer() as own:
        yield own


@pytest.fixture
def database(server, shop) -> dict[str, object]:
    """The settings that name a database on it, with short patience."""
    patience = {"database_connect_seconds": 1, "database_statement_seconds": 1, "follow_seconds": 0.1}
    return copy_books(shop, server) | patience


def is_away(service) -> bool:
    return service.metrics()['recommendations_condition{condition="database"}'] == 0


@pytest.mark.parametrize(("leave", "come_back"), [("stop", "start"), ("kill", "start"), ("pause", "resume")])
def test_reads_go_on_and_writes_are_refused_at_once(server, database, shop, start, leave, come_back):
    service = start(shop, **database)
    record(service, f"before-{leave}", 1)
    getattr(server, leave)()
    try:
        wait_until(lambda: is_away(service))
        shop_service, catalogue = service.client.recommendations, service.client.catalogue
        assert strategy_of(service, 7) == pb.STRATEGY_STALE
        assert strategy_of(service, NEW_READER) == pb.STRATEGY_STALE
        assert shop_service.SimilarBooks(pb.SimilarBooksRequest(book_id=1)).books
        assert shop_service.PopularBooks(pb.PopularBooksRequest()).books
        assert catalogue.GetBook(catalogue_pb.GetBookRequest(book_id=1)).book.id == 1
        page = json.loads(service.get("/readyz"))
        assert page["ready"] is True
        assert page["conditions"]["database"]["value"] is False
        assert page["conditions"]["database"]["reason"]
        began = time.monotonic()
        for _ in range(5):
            refusal = refused(shop_service.RecordInteractions, reads(1))
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            assert refusal.retry_seconds > 0
        assert time.monotonic() - began < 1  # at once, though the server may hang for a second each
        forget = refused(shop_service.ForgetReader, pb.ForgetReaderRequest(reader_id=7))
        assert forget.code is grpc.StatusCode.UNAVAILABLE
    finally:
        getattr(server, come_back)()
    wait_until(lambda: not is_away(service))
    assert strategy_of(service, 7) == pb.STRATEGY_PERSONAL
    record(service, f"after-{leave}", 2)
    assert service.metrics()["recommendations_follow_lag_seconds"] < 5


def test_a_service_started_while_it_is_down_becomes_ready_without_a_restart(
    server, database, shop, certificates
):
    server.stop()
    stop = threading.Event()
    app = App(settings_for(shop, certificates, **database), write_log=lambda line: None, stop=stop)
    started = threading.Event()

    def run() -> None:
        with app:
            started.set()
            stop.wait(60)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: "reached" in str(app.conditions.describe()["conditions"]["database"]["reason"]))
        assert not app.conditions.ready
        assert not started.is_set()
        server.start()
        wait_until(started.is_set)
        assert app.conditions.ready
    finally:
        stop.set()
        thread.join(30)
        if not started.is_set():
            server.start()


def test_a_service_that_waits_for_its_database_can_be_stopped(server, database, shop, certificates):
    server.stop()
    try:
        stop = threading.Event()
        threading.Timer(0.5, stop.set).start()
        with pytest.raises(Stopped), App(settings_for(shop, certificates, **database), stop=stop):
            pass
    finally:
        server.start()
