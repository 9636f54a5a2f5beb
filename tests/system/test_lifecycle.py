"""Starting, draining and stopping as an operator and an orchestrator see it."""

import json
import queue
import re
import signal
import threading
from pathlib import Path

import grpc
import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1 import recommendation_service_pb2_grpc as stubs

from tests.system.processes import ServiceProcess, wait_until


def request_for(reader_id: int) -> pb.RecommendManyRequest:
    return pb.RecommendManyRequest(request=pb.RecommendRequest(reader_id=reader_id))


def test_it_gets_ready_and_says_what_to_do_next(serve, shop, capsys):
    service = serve(shop).wait_ready()
    with capsys.disabled():
        print(f" [ready after {service.ready_seconds:.2f} s] ", end="")
    certificates = "-cacert certs/dev/ca.crt -cert certs/dev/client.crt -key certs/dev/client.key"
    assert f"grpcurl {certificates} localhost:{service.port} list" in service.stdout
    assert "make call" in service.stdout
    assert service.get("/livez") == (200, "ok\n")
    readiness = json.loads(service.get("/readyz")[1])
    assert readiness["ready"] is True
    assert all(condition["value"] for condition in readiness["conditions"].values())
    assert service.stop() == 0
    assert "Traceback" not in service.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stream_in_flight_ends_well_when_a_signal_drains(serve, shop, number):
    service = serve(shop).wait_ready()
    requests: queue.SimpleQueue[pb.RecommendManyRequest | None] = queue.SimpleQueue()
    with service.channel(shop.certificates) as channel:
        stub = stubs.RecommendationServiceStub(channel)
        answers = stub.RecommendMany(iter(requests.get, None), timeout=30)
        requests.put(request_for(1))
        assert next(answers).response.books
        service.signal(number)
        wait_until(lambda: service.get("/readyz")[0] != 200, "the drain")
        for reader_id in range(2, 12):
            requests.put(request_for(reader_id))
        requests.put(None)
        assert sum(bool(answer.response.books) for answer in answers) == 10
        assert answers.code() is grpc.StatusCode.OK
    assert service.wait_exit() == 0
    assert "Traceback" not in service.stderr


def test_calls_are_answered_while_endpoints_learn_of_the_drain_and_a_second_signal_stops_at_once(serve, shop):
    service = serve(
        shop, RECOMMENDATIONS_DRAIN_SECONDS="600", RECOMMENDATIONS_GRACE_SECONDS="600"
    ).wait_ready()
    with service.channel(shop.certificates) as channel:
        stub = stubs.RecommendationServiceStub(channel)
        assert stub.Recommend(pb.RecommendRequest(reader_id=1), timeout=10).books
        service.signal(signal.SIGTERM)
        wait_until(lambda: service.get("/readyz")[0] == 503, "NOT_SERVING")
        assert service.get("/livez")[0] == 200
        assert stub.Recommend(pb.RecommendRequest(reader_id=2), timeout=10).books
        answers = stub.RecommendMany(iter([request_for(1)]), timeout=30)
        next(answers)
        service.signal(signal.SIGTERM)
        assert service.wait_exit() == 130
    assert "Traceback" not in service.stderr


def test_a_stream_that_does_not_end_is_cut_off_after_the_grace(serve, shop):
    service = serve(shop, RECOMMENDATIONS_GRACE_SECONDS="0.2").wait_ready()
    never_more = threading.Event()

    def one_and_wait():
        yield request_for(1)
        never_more.wait(60)

    with service.channel(shop.certificates) as channel:
        answers = stubs.RecommendationServiceStub(channel).RecommendMany(one_and_wait(), timeout=60)
        next(answers)
        assert service.stop() == 0
        with pytest.raises(grpc.RpcError):
            next(answers)
        never_more.set()


def test_a_signal_before_it_is_ready_ends_it_in_order(serve, shop):
    service = serve(shop)
    # The handlers are there once the command's module is imported; the first log line comes soon after.
    wait_until(lambda: "answering from model" in service.stderr, "the model")
    service.signal(signal.SIGTERM)
    assert service.wait_exit() == 0
    assert "Traceback" not in service.stderr


def test_under_nohup_a_closed_terminal_is_nothing_to_it(shop):
    with ServiceProcess(shop.settings, shop.directory, prefix=["nohup"]) as service:
        service.wait_ready()
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        # proc(5): a signal that is neither blocked nor waited for, but ignored.
        blocked, ignored = (
            int(re.search(rf"^{name}:\s+(\w+)$", status, re.MULTILINE)[1], 16)
            for name in ("SigBlk", "SigIgn")
        )
        bit = 1 << (signal.SIGHUP - 1)
        assert ignored & bit
        assert not blocked & bit
        service.signal(signal.SIGHUP)
        assert service.stop() == 0


def test_it_needs_no_terminal_and_logs_json_lines_only(serve, shop):
    service = serve(shop).wait_ready()
    with service.channel(shop.certificates) as channel:
        stubs.RecommendationServiceStub(channel).Recommend(pb.RecommendRequest(reader_id=3), timeout=10)
    assert service.stop() == 0
    entries = [json.loads(line) for line in service.stderr.splitlines()]
    calls = [entry for entry in entries if entry["msg"] == "rpc"]
    assert [(call["code"], call["identity"]) for call in calls] == [
        ("OK", "spiffe://onlinebooks.example/client")
    ]
