"""What is counted, exactly, and under which labels."""

import threading

import grpc
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from interceptors.chain import UNKNOWN_METHOD, Method
from interceptors.errors import Errors
from interceptors.metrics import Metrics
from interceptors.status import GO_NAMES, StatusError
from tests.interceptors.echo_service import (
    BIDI,
    CLIENT_STREAM,
    METHODS,
    SERVER_STREAM,
    UNARY,
    text,
    wait_until,
)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return Metrics(registry, METHODS)


def counted(registry, name: str, method: Method, **more) -> float | None:
    labels = {"grpc_type": method.kind, "grpc_service": method.service, "grpc_method": method.name}
    return registry.get_sample_value(name, labels | more)


def handled(registry, method: Method) -> dict[str, float]:
    """Return the codes that were counted; started calls are waited for."""
    wait_until(
        lambda: (
            counted(registry, "grpc_server_started_total", method)
            == counted(registry, "grpc_server_handling_seconds_count", method)
        )
    )
    codes = {
        name: counted(registry, "grpc_server_handled_total", method, grpc_code=name)
        for name in GO_NAMES.values()
    }
    return {name: count for name, count in codes.items() if count}


def test_every_series_of_the_given_methods_is_there_at_zero(registry, metrics):
    for method in (*METHODS, UNKNOWN_METHOD):
        for name in ("started_total", "msg_received_total", "msg_sent_total", "handling_seconds_count"):
            assert counted(registry, f"grpc_server_{name}", method) == 0
        for code in GO_NAMES.values():
            assert counted(registry, "grpc_server_handled_total", method, grpc_code=code) == 0
    assert b"_created" not in generate_latest(registry)


def test_buckets_begin_below_a_millisecond(registry, metrics):
    assert counted(registry, "grpc_server_handling_seconds_bucket", UNARY, le="0.0001") == 0


def test_every_arity_counts_its_messages(serve, registry, metrics):
    echo = serve(metrics, Errors())
    echo.unary(text("a"), timeout=10)
    echo.client_stream(iter([text("a"), text("b"), text("c")]), timeout=10)
    assert len(list(echo.server_stream(text("abcd"), timeout=10))) == 4
    assert len(list(echo.bidi(iter([text("a"), text("b")]), timeout=10))) == 2
    for method, received, sent in ((UNARY, 1, 1), (CLIENT_STREAM, 3, 1), (SERVER_STREAM, 1, 4), (BIDI, 2, 2)):
        assert handled(registry, method) == {"OK": 1}
        assert counted(registry, "grpc_server_msg_received_total", method) == received
        assert counted(registry, "grpc_server_msg_sent_total", method) == sent


def test_each_code_is_counted_once_a_call(serve, registry, metrics):
    codes = iter([code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])

    def behave(request, context):
        raise StatusError(next(codes), "m", reason="X")

    echo = serve(metrics, Errors(), unary=behave)
    for _ in range(len(grpc.StatusCode) - 1):
        with pytest.raises(grpc.RpcError):
            echo.unary(text("a"), timeout=10)
    assert handled(registry, UNARY) == {name: 1 for name in GO_NAMES.values() if name != "OK"}
    assert counted(registry, "grpc_server_msg_sent_total", UNARY) == 0


def test_a_status_set_without_an_exception_is_counted_as_such(serve, registry, metrics):
    def behave(request, context):
        context.set_code(grpc.StatusCode.NOT_FOUND)
        return text("")

    with pytest.raises(grpc.RpcError):
        serve(metrics, Errors(), unary=behave).unary(text("a"), timeout=10)
    assert handled(registry, UNARY) == {"NotFound": 1}


def test_failures_without_the_errors_layer_count_as_unknown(serve, registry, metrics):
    def behave(request, context):
        raise ValueError

    with pytest.raises(grpc.RpcError):
        serve(metrics, unary=behave).unary(text("a"), timeout=10)
    assert handled(registry, UNARY) == {"Unknown": 1}


def test_unknown_undecodable_and_unserialisable_are_counted(serve, registry, metrics):
    echo = serve(metrics, Errors(), unary=lambda request, context: 12)
    for path, message in (("/no/Such", b""), ("/no/Other", b""), (UNARY.full, b"\xff"), (UNARY.full, b"")):
        with pytest.raises(grpc.RpcError):
            echo.ask(path, message)
    assert handled(registry, UNKNOWN_METHOD) == {"Unimplemented": 2}
    assert handled(registry, UNARY) == {"InvalidArgument": 1, "Internal": 1}
    assert b"Such" not in generate_latest(registry)


def test_a_stream_that_fails_midway_counts_what_was_sent(serve, registry, metrics):
    def behave(request, context):
        yield text("a")
        raise ValueError

    with pytest.raises(grpc.RpcError):
        list(serve(metrics, Errors(), server_stream=behave).server_stream(text("a"), timeout=10))
    assert handled(registry, SERVER_STREAM) == {"Internal": 1}
    assert counted(registry, "grpc_server_msg_sent_total", SERVER_STREAM) == 1


def test_cancelled_calls_are_counted_as_canceled(serve, registry, metrics):
    began = threading.Event()

    def behave(request, context):
        began.set()
        wait_until(lambda: not context.is_active())
        return text("late")

    call = serve(metrics, Errors(), unary=behave).unary.future(text("a"), timeout=10)
    assert began.wait(10)
    call.cancel()
    assert handled(registry, UNARY) == {"Canceled": 1}
    assert counted(registry, "grpc_server_msg_sent_total", UNARY) == 0


def test_a_method_that_was_not_announced_is_counted_too(serve, registry):
    serve(Metrics(registry), Errors()).unary(text("a"), timeout=10)
    assert handled(registry, UNARY) == {"OK": 1}
