"""Which calls are traced, and what their spans say."""

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_current_span

from interceptors.errors import Errors
from interceptors.logging import AccessLog
from interceptors.status import StatusError
from interceptors.tracing import Tracing
from tests.interceptors.echo_service import METHODS, UNARY, text, wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def parent(flag: str) -> dict:
    return {"metadata": [("traceparent", f"00-{TRACE}-{PARENT}-{flag}")]}


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter):
    """Return a function: ratio -> Tracing that exports to `exporter`."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield lambda ratio: Tracing(provider, ratio)
    provider.shutdown()


def spans(exporter, count: int):
    wait_until(lambda: len(exporter.get_finished_spans()) >= count)
    assert len(exporter.get_finished_spans()) == count
    return exporter.get_finished_spans()


def test_without_a_provider_the_call_is_not_even_wrapped():
    def proceed(call, request): ...

    assert Tracing(None, 1.0).wrap(UNARY, proceed) is proceed


def test_every_arity_has_a_span_with_its_method(serve, tracing, exporter):
    echo = serve(tracing(1.0), Errors())
    echo.unary(text("ab"), timeout=10)
    echo.client_stream(iter([text("a")]), timeout=10)
    assert len(list(echo.server_stream(text("ab"), timeout=10))) == 2
    assert len(list(echo.bidi(iter([text("a")]), timeout=10))) == 1
    finished = spans(exporter, 4)
    assert {span.name for span in finished} == {method.full for method in METHODS}
    for span in finished:
        assert span.attributes["rpc.service"] == "test.Echo"
        assert span.attributes["rpc.grpc.status_code"] == 0
        assert span.status.status_code is StatusCode.UNSET


def test_the_callers_sampled_flag_decides_and_its_trace_goes_on(serve, tracing, exporter, lines):
    echo = serve(tracing(0.0), AccessLog(lines), Errors())
    echo.unary(text("a"), timeout=10, **parent("01"))
    span = spans(exporter, 1)[0]
    assert f"{span.context.trace_id:032x}" == TRACE == lines.wait()[0]["trace_id"]
    assert f"{span.parent.span_id:016x}" == PARENT


def test_a_callers_unsampled_flag_means_no_span_but_its_trace_id_in_the_log(serve, tracing, exporter, lines):
    echo = serve(tracing(1.0), AccessLog(lines), Errors())
    echo.unary(text("a"), timeout=10, **parent("00"))
    assert lines.wait()[0]["trace_id"] == TRACE
    assert not exporter.get_finished_spans()


def test_a_ratio_of_nothing_traces_nothing_and_a_full_one_everything(serve, tracing, exporter, lines):
    nothing, everything = (serve(tracing(ratio), AccessLog(lines), Errors()) for ratio in (0.0, 1.0))
    nothing.unary(text("a"), timeout=10)
    assert lines.wait()[0]["trace_id"] is None
    everything.unary(text("a"), timeout=10)
    trace_id = spans(exporter, 1)[0].context.trace_id
    assert lines.wait(2)[1]["trace_id"] == f"{trace_id:032x}"


@pytest.mark.parametrize("ratio", [-0.1, 1.1])
def test_a_ratio_outside_0_to_1_is_refused(ratio):
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        Tracing(None, ratio)


def test_the_handler_runs_inside_the_span(serve, tracing, exporter):
    seen = []

    def behave(request, context):
        seen.append(get_current_span().get_span_context().span_id)
        yield text("a")
        seen.append(get_current_span().get_span_context().span_id)

    assert len(list(serve(tracing(1.0), server_stream=behave).server_stream(text("a"), timeout=10))) == 1
    assert seen == [spans(exporter, 1)[0].context.span_id] * 2


@pytest.mark.parametrize("arity", ["unary", "server_stream"])
def test_an_internal_error_is_an_error_span_with_the_exception(serve, tracing, exporter, arity):
    def unary(request, context):
        raise ValueError("cause")

    def stream(request, context):
        yield text("first")
        raise ValueError("cause")

    echo = serve(tracing(1.0), Errors(), unary=unary, server_stream=stream)
    with pytest.raises(grpc.RpcError) as failed:
        list(getattr(echo, arity)(text("a"), timeout=10))
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    span = spans(exporter, 1)[0]
    assert span.attributes["rpc.grpc.status_code"] == 13
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description.startswith("INTERNAL: internal error; request id ")
    assert [event.attributes["exception.message"] for event in span.events] == ["cause"]


def test_an_uncaught_exception_without_the_errors_layer_is_an_error_span(serve, tracing, exporter):
    def behave(request, context):
        raise ValueError("cause")

    with pytest.raises(grpc.RpcError):
        serve(tracing(1.0), unary=behave).unary(text("a"), timeout=10)
    span = spans(exporter, 1)[0]
    assert (span.attributes["rpc.grpc.status_code"], span.status.status_code) == (2, StatusCode.ERROR)


def test_a_mistake_of_the_caller_has_its_code_and_no_error(serve, tracing, exporter):
    def behave(request, context):
        raise StatusError(grpc.StatusCode.NOT_FOUND, "no such book", reason="X")

    with pytest.raises(grpc.RpcError):
        serve(tracing(1.0), Errors(), unary=behave).unary(text("a"), timeout=10)
    span = spans(exporter, 1)[0]
    assert (span.attributes["rpc.grpc.status_code"], span.status.status_code) == (5, StatusCode.UNSET)
    assert not span.events


def test_unknown_methods_are_spans_of_one_name(serve, tracing, exporter):
    echo = serve(tracing(1.0), Errors())
    for path in ("/a.B/C", "/d.E/F"):
        with pytest.raises(grpc.RpcError):
            echo.ask(path)
    assert {span.name for span in spans(exporter, 2)} == {"/unknown/unknown"}


def test_a_stream_that_its_caller_left_has_a_span_with_cancelled(serve, tracing, exporter, capfd):
    def behave(request, context):
        while True:
            yield text("more")

    replies = serve(tracing(1.0), Errors(), server_stream=behave).server_stream(text("a"), timeout=10)
    next(replies)
    replies.cancel()
    assert spans(exporter, 1)[0].attributes["rpc.grpc.status_code"] == 1
    assert "different Context" not in capfd.readouterr().err
