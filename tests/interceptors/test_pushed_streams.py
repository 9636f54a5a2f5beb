"""Non-blocking streams, Health/Watch above all, pass the layers like any other stream."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from interceptors.chain import Exempt
from interceptors.deadline import Deadline
from interceptors.errors import Errors
from interceptors.identity import Identity
from interceptors.limits import Limits
from interceptors.logging import AccessLog
from interceptors.metrics import Metrics
from interceptors.tracing import Tracing
from tests.interceptors.echo_service import text, wait_until

Status = health_pb2.HealthCheckResponse
SERVICE = "test.Push"


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as threads:
        yield threads


def health_of(servicer):
    return lambda server: health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def push_service(behave, pool):
    """Return what registers test.Push/Stream, a non-blocking stream of raw bytes."""

    def call(request, context, send):
        behave(request, context, send)

    call.experimental_non_blocking = True
    call.experimental_thread_pool = pool
    handler = grpc.unary_stream_rpc_method_handler(call)
    generic = grpc.method_handlers_generic_handler(SERVICE, {"Stream": handler})
    return lambda server: server.add_generic_rpc_handlers((generic,))


def open_push(echo):
    return echo.channel.unary_stream(f"/{SERVICE}/Stream")(b"", timeout=10)


def test_watches_pass_the_whole_chain_and_hold_no_thread_of_it(serve, lines, pool):
    servicer = health.HealthServicer(experimental_thread_pool=pool)
    servicer.set("", Status.NOT_SERVING)
    registry = CollectorRegistry()
    guard = Exempt(Deadline(10, 10), lambda method: method.service == "grpc.health.v1.Health")
    echo = serve(
        AccessLog(lines),
        Metrics(registry),
        Errors(),
        Identity(lambda peer, method: None),
        Limits(1e6, 10**6, 10, max_streams=100),
        guard,
        add_services=health_of(servicer),
    )
    stub = health_pb2_grpc.HealthStub(echo.channel)
    watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=30) for _ in range(20)]
    assert [next(watch).status for watch in watches] == [Status.NOT_SERVING] * 20
    assert echo.unary(text("a"), timeout=10).value == "a"
    servicer.set("", Status.SERVING)
    assert [next(watch).status for watch in watches] == [Status.SERVING] * 20
    for watch in watches:
        watch.cancel()
    watched = [line for line in lines.wait(21) if line["method"] == "/grpc.health.v1.Health/Watch"]
    assert [(line["code"], line["kind"]) for line in watched] == [("Canceled", "server_stream")] * 20
    labels = {
        "grpc_type": "server_stream",
        "grpc_service": "grpc.health.v1.Health",
        "grpc_method": "Watch",
    }
    assert registry.get_sample_value("grpc_server_started_total", labels) == 20
    assert registry.get_sample_value("grpc_server_msg_sent_total", labels) == 40
    assert registry.get_sample_value("grpc_server_handled_total", labels | {"grpc_code": "Canceled"}) == 20


def test_a_blocking_watch_passes_too(serve, lines):
    servicer = health.HealthServicer(experimental_non_blocking=False)
    echo = serve(AccessLog(lines), Errors(), add_services=health_of(servicer))
    watch = health_pb2_grpc.HealthStub(echo.channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
    assert next(watch).status == Status.SERVING
    watch.cancel()
    assert lines.wait()[0]["code"] == "Canceled"


def test_a_refused_watch_gets_its_status(serve, pool):
    servicer = health.HealthServicer(experimental_thread_pool=pool)
    echo = serve(
        Errors(), Identity(lambda peer, method: "certificates only"), add_services=health_of(servicer)
    )
    watch = health_pb2_grpc.HealthStub(echo.channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
    with pytest.raises(grpc.RpcError) as refused:
        next(watch)
    assert (refused.value.code(), refused.value.details()) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "certificates only",
    )


def test_a_stream_ended_by_its_servicer_is_ok_and_later_pushes_are_ignored(serve, lines, pool):
    ended = threading.Event()

    def behave(request, context, send):
        send(b"one")

        def later():
            send(b"two")
            send(None)
            send(b"three")
            ended.set()

        pool.submit(later)

    replies = open_push(serve(AccessLog(lines), Errors(), add_services=push_service(behave, pool)))
    assert list(replies) == [b"one", b"two"]
    assert dict(replies.trailing_metadata())["x-request-id"] == lines.wait()[0]["request_id"]
    assert lines[0]["code"] == "OK"
    assert ended.wait(10)


def test_a_push_that_fails_ends_its_stream_and_does_not_reach_the_one_who_pushed(serve, lines, pool):
    outcome = []

    def behave(request, context, send):
        send(b"one")

        def later():
            outcome.append(send(12))

        pool.submit(later)

    replies = open_push(serve(AccessLog(lines), Errors(), add_services=push_service(behave, pool)))
    assert next(replies) == b"one"
    with pytest.raises(grpc.RpcError) as failed:
        next(replies)
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert (lines.wait()[0]["code"], lines[0]["level"]) == ("Internal", "error")
    wait_until(lambda: outcome == [None])


def test_an_abort_before_the_first_message_passes(serve, pool):
    def behave(request, context, send):
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many")

    for layers in ([Errors()], []):
        replies = open_push(serve(*layers, add_services=push_service(behave, pool)))
        with pytest.raises(grpc.RpcError) as refused:
            next(replies)
        assert (refused.value.code(), refused.value.details()) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "too many",
        )


def test_a_behaviour_that_pushes_nothing_at_first_is_internal(serve, lines, pool):
    replies = open_push(
        serve(AccessLog(lines), Errors(), add_services=push_service(lambda *arguments: None, pool))
    )
    with pytest.raises(grpc.RpcError) as failed:
        next(replies)
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert "must push its first message" in lines.wait()[0]["traceback"]


def test_pushes_from_many_threads_arrive_whole_and_once(serve, lines, pool):
    def behave(request, context, send):
        send(b"first")
        barrier = threading.Barrier(3)

        def push(name):
            barrier.wait(10)
            for number in range(50):
                send(b"%s-%d" % (name, number))

        workers = [pool.submit(push, name) for name in (b"a", b"b")]

        def end():
            barrier.wait(10)
            for worker in workers:
                worker.result(10)
            send(None)

        threading.Thread(target=end, daemon=True).start()

    replies = list(open_push(serve(AccessLog(lines), Errors(), add_services=push_service(behave, pool))))
    assert len(replies) == len(set(replies)) == 101
    for name in (b"a-", b"b-"):
        own = [reply for reply in replies if reply.startswith(name)]
        assert own == [name + b"%d" % number for number in range(50)]


def test_a_traced_watch_has_one_span_whatever_threads_push(serve, pool, caplog):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    servicer = health.HealthServicer(experimental_thread_pool=pool)
    echo = serve(Tracing(provider, 1.0), Errors(), add_services=health_of(servicer))
    watch = health_pb2_grpc.HealthStub(echo.channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
    next(watch)
    servicer.set("", Status.NOT_SERVING)
    next(watch)
    watch.cancel()
    wait_until(exporter.get_finished_spans)
    assert exporter.get_finished_spans()[0].attributes["rpc.grpc.status_code"] == 1
    assert "different Context" not in caplog.text
