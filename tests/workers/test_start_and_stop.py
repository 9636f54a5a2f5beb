"""How several workers start, are refused, and end together."""

import queue
import signal
import socket

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from tests.system.processes import PATIENCE_SECONDS, assert_fails, run, wait_until
from tests.workers.supervised import is_alive

pytestmark = pytest.mark.timeout(4 * PATIENCE_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_drains_all_workers(supervised, certificates, number):
    workers = supervised.workers
    channels = supervised.connection_to_each(certificates.directory)
    requests = [queue.SimpleQueue() for _ in channels]
    streams = [
        RecommendationServiceStub(channel).RecommendMany(iter(each.get, None), timeout=PATIENCE_SECONDS)
        for channel, each in zip(channels, requests, strict=True)
    ]
    for each, stream in zip(requests, streams, strict=True):
        each.put(pb.RecommendManyRequest(request=pb.RecommendRequest(reader_id=1)))
        assert next(stream).response.books
    supervised.signal(number)
    wait_until(lambda: supervised.get("/readyz")[0] == 503, "the drain")
    for each, stream in zip(requests, streams, strict=True):
        each.put(pb.RecommendManyRequest(request=pb.RecommendRequest(reader_id=2)))
        each.put(None)
        assert len(list(stream)) == 1
    assert supervised.wait_exit() == 0
    assert not any(is_alive(each) for each in workers)
    assert "Traceback" not in supervised.stderr


def test_a_second_signal_stops_all_workers_at_once(start, certificates):
    service = start(RECOMMENDATIONS_DRAIN_SECONDS="600").wait_ready()
    workers = service.workers
    service.signal(signal.SIGTERM)
    wait_until(lambda: service.get("/readyz")[0] == 503, "the drain")
    service.signal(signal.SIGTERM)
    assert service.wait_exit() == 130
    assert not any(is_alive(each) for each in workers)


def test_a_signal_while_workers_start_ends_them_in_order(start):
    service = start()
    wait_until(lambda: service.workers, "the first worker")
    workers = service.workers
    service.signal(signal.SIGTERM)
    assert service.wait_exit() == 0
    assert not any(is_alive(each) for each in workers)
    assert "Traceback" not in service.stderr


def test_a_start_without_a_database_waits_is_not_ready_and_can_be_ended(start):
    with socket.create_server(("127.0.0.1", 0)) as chooser:
        admin_port = chooser.getsockname()[1]
    service = start(
        RECOMMENDATIONS_ADMIN_PORT=str(admin_port),
        RECOMMENDATIONS_DATABASE_URL="postgresql://shop@127.0.0.1:1/shop",
    )
    service.admin_port = admin_port
    wait_until(lambda: "waiting for it" in service.stderr, "an attempt")
    assert service.get("/livez") == (200, "ok\n")
    assert service.get("/readyz")[0] == 503
    workers = service.readiness()["workers"]
    assert workers["0"]["conditions"]["database"]["value"] is False
    assert workers["1"] == {"ready": False, "reason": "is not running"}
    assert service.stop() == 0


def test_wrong_settings_are_told_once(settings, tmp_path):
    settings["RECOMMENDATIONS_DATABASE_URL"] = f"sqlite:///{tmp_path}/nowhere.db"
    ended = run("serve", "--workers", "2", settings=settings, cwd=tmp_path)
    assert_fails(ended, 1, "does not exist; run `recommendations migrate`")


@pytest.mark.parametrize("setting", ["PORT", "PLAINTEXT_PORT", "ADMIN_PORT"])
def test_a_port_that_a_service_with_workers_has_is_refused(settings, start, tmp_path, setting):
    service = start(RECOMMENDATIONS_PLAINTEXT_PORT="0").wait_ready()
    port = str(
        {"PORT": service.port, "PLAINTEXT_PORT": service.plaintext_port, "ADMIN_PORT": service.admin_port}[
            setting
        ]
    )
    settings["RECOMMENDATIONS_ADMIN_HOST"] = "127.0.0.1"
    settings[f"RECOMMENDATIONS_{setting}"] = port
    ended = run("serve", "--workers", "2", settings=settings, cwd=tmp_path)
    assert_fails(ended, 1, f"RECOMMENDATIONS_{setting}: {port}: cannot listen")


@pytest.mark.parametrize("workers", ["many", "0", "257"])
def test_a_number_of_workers_that_is_none_is_wrong_usage(settings, tmp_path, workers):
    ended = run("serve", "--workers", workers, settings=settings, cwd=tmp_path)
    assert_fails(ended, 2, f"'{workers}' is neither \"auto\" nor between 1 and 256")
