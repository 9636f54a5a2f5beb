"""The image under the Deployment's own confinement: called, scraped, drained."""

import json
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from tests.image.containers import PATIENCE_SECONDS
from tests.tools import require_tool, wait_until

RECOMMEND = "onlinebooks.recommendations.v1.RecommendationService/Recommend"
# Asks for health, and so leaves a server that drains before it refuses.
_OPTIONS = [
    (
        "grpc.service_config",
        json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}),
    ),
    ("grpc.use_local_subchannel_pool", 1),
]


@pytest.fixture
def connect(certificates):
    """Open a channel with the client's certificate to ports of this machine."""

    def connect_to(*ports: int) -> grpc.Channel:
        pem = {name: (certificates / name).read_bytes() for name in ("ca.crt", "client.key", "client.crt")}
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        options = [*_OPTIONS, ("grpc.ssl_target_name_override", "localhost")]
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(*pem.values()), options)

    return connect_to


def test_it_is_called_over_mutual_tls_and_scraped(pod, certificates):
    container = pod.start()

    def grpcurl(*arguments: str, data: str = "") -> str:
        pair = ("-cacert", "ca.crt", "-cert", "client.crt", "-key", "client.key")
        command = [require_tool("grpcurl"), *pair, *(("-d", data) if data else ())]
        command += [f"localhost:{container.port(50051)}", *arguments]
        return subprocess.run(
            command, cwd=certificates, check=True, capture_output=True, text=True, timeout=300
        ).stdout

    assert RECOMMEND.partition("/")[0] in grpcurl("list").split()
    answer = json.loads(grpcurl(RECOMMEND, data='{"reader_id": 42, "page_size": 3}'))
    assert len(answer["books"]) == 3
    assert answer["strategy"] == "STRATEGY_PERSONAL"
    assert 'recommendations_answers_total{strategy="personal"} 1.0' in container.get("/metrics")


def test_the_first_process_drains_on_sigterm_and_no_call_fails(pod, connect):
    first = pod.start(settings={"RECOMMENDATIONS_DRAIN_SECONDS": "10"})
    second = pod.start()
    assert first.inspect()["Args"] == ["serve"]  # the program itself, no shell around it
    outcomes: list[str] = []
    done = threading.Event()
    with connect(first.port(50051), second.port(50051)) as channel, ThreadPoolExecutor(4) as pool:
        stub = RecommendationServiceStub(channel)

        def call(number: int) -> None:
            while not done.is_set():
                try:
                    stub.Recommend(pb.RecommendRequest(reader_id=number), timeout=30)
                    outcomes.append("ok")
                except grpc.RpcError as error:
                    outcomes.append(f"{error.code()}: {error.details()}")

        for number in range(4):
            pool.submit(call, number + 1)
        try:
            wait_until(lambda: len(outcomes) >= 200, 300, "the first calls")
            assert re.search(r'handled_total{.*method="Recommend".*} [1-9]', first.get("/metrics"))
            first.signal("SIGTERM")
            assert first.wait() == 0
            before = len(outcomes)
            wait_until(lambda: len(outcomes) >= before + 100, 300, "calls after it")
        finally:
            done.set()
    assert set(outcomes) == {"ok"}


def test_probes_are_answered_in_their_time_while_every_thread_that_answers_calls_is_busy(pod, connect):
    container = pod.start(settings={"RECOMMENDATIONS_HANDLER_THREADS": "1"})
    server = pod.container("recommendations")
    probes = [server[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    done = threading.Event()
    answered: list[int] = []
    with connect(container.port(50051)) as channel, ThreadPoolExecutor(32) as pool:
        stub = RecommendationServiceStub(channel)

        def call(number: int) -> None:
            while not done.is_set():
                stub.Recommend(pb.RecommendRequest(reader_id=number, page_size=100), timeout=30)
                answered.append(number)

        calls = [pool.submit(call, number + 1) for number in range(32)]
        try:
            for probe in probes * 5:
                before = len(answered)
                # The kubelet waits no longer either.
                assert container.get(probe["httpGet"]["path"], timeout_seconds=probe["timeoutSeconds"])
                wait_until(lambda before=before: len(answered) >= before + 32, 300, "calls meanwhile")
            assert container.get("/metrics")
        finally:
            done.set()
        assert [each.result() for each in calls] == [None] * 32


def test_a_signal_before_it_is_ready_ends_it_at_once(empty_pod, dev):
    # The database that it waits for is nowhere. Had it calls to drain, it would outlast the patience with it.
    settings = {
        "RECOMMENDATIONS_DATABASE_URL": "postgresql://shop@127.0.0.1:1/shop",
        "RECOMMENDATIONS_DRAIN_SECONDS": str(2 * PATIENCE_SECONDS),
        "RECOMMENDATIONS_GRACE_SECONDS": str(2 * PATIENCE_SECONDS),
    }
    container = empty_pod().start(settings=settings, ready=False)
    container.wait_alive()
    container.signal("SIGTERM")
    assert container.wait() == 0
