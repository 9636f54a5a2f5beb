"""Record a span of the RPCs that are sampled, by OpenTelemetry's own server interceptor.

Must not know where spans go. The decision to sample comes before any of that interceptor's cost, which is
tens of microseconds even for a span that is dropped.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc

from interceptors.call import Call, Method
from interceptors.chain import Interceptor, Proceed

# The server's status by the semantic conventions: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
_SPAN_ERRORS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


class Tracing(Interceptor):
    """Trace with `tracer_provider`, or do nothing, at no cost, when that is None.

    The caller's `traceparent` decides by its sampled flag; of the calls without one the share `ratio` is
    traced. The provider's own sampler is to be always-on.
    """

    def __init__(self, tracer_provider: Any | None, ratio: float = 1.0):
        if not 0 <= ratio <= 1:
            raise ValueError(f"sampling ratio is {ratio}: must be between 0 and 1")
        self._ratio = ratio
        self._instrumentation: Any = None
        if tracer_provider is not None:
            # Imported when it is wanted: it takes a visible part of the start-up time.
            from opentelemetry.instrumentation.grpc import server_interceptor

            self._instrumentation = server_interceptor(tracer_provider=tracer_provider)

    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        if self._instrumentation is None:
            return proceed
        if method.response_streaming:
            return self._wrap_stream(method, proceed)
        handler: Any = grpc.unary_unary_rpc_method_handler(_unary_in_span(proceed))
        traced = self._instrument(method, handler).unary_unary

        def unary(call: Call, request: Any) -> Any:
            if not self._is_sampled(call):
                return proceed(call, request)
            passage = _Passage(call, request)
            response = traced(passage, call.context)
            if passage.error is not None:
                raise passage.error
            return response

        return unary

    def _wrap_stream(self, method: Method, proceed: Proceed) -> Proceed:
        handler: Any = grpc.unary_stream_rpc_method_handler(_stream_in_span(proceed))
        traced = self._instrument(method, handler).unary_stream

        def stream(call: Call, request: Any) -> Iterator[Any]:
            if not self._is_sampled(call):
                yield from proceed(call, request)
                return
            passage = _Passage(call, request)
            yield from traced(passage, call.context)
            if passage.error is not None:
                raise passage.error

        return stream

    def _instrument(self, method: Method, handler: grpc.RpcMethodHandler) -> Any:
        return self._instrumentation.intercept_service(lambda details: handler, _Details(method.full, ()))

    def _is_sampled(self, call: Call) -> bool:
        parent = call.trace_parent
        return random.random() < self._ratio if parent is None else parent[1]  # noqa: S311


class _Details(NamedTuple):
    """What the instrumentation reads of grpc.HandlerCallDetails, once for each method."""

    method: str
    invocation_metadata: tuple


class _Passage:
    """Carries a call through the instrumentation, which takes it for the request, and its exception back.

    The exception does not pass there: it would be recorded with a stack trace for every mistake of a caller.
    """

    __slots__ = ("call", "error", "request")

    def __init__(self, call: Call, request: Any):
        self.call = call
        self.request = request
        self.error: Exception | None = None


def _unary_in_span(proceed: Proceed) -> Callable[[_Passage, Any], Any]:
    def behave(passage: _Passage, _context: Any) -> Any:
        span = _name_trace(passage.call)
        try:
            response = proceed(passage.call, passage.request)
        except Exception as error:  # noqa: BLE001 - raised again on the other side
            passage.error = error
            response = None
        _mend(span, passage.call, raised=passage.error is not None)
        return response

    return behave


def _stream_in_span(proceed: Proceed) -> Callable[[_Passage, Any], Iterator[Any]]:
    def behave(passage: _Passage, _context: Any) -> Iterator[Any]:
        span = _name_trace(passage.call)
        raised = True
        try:
            yield from proceed(passage.call, passage.request)
            raised = False
        except Exception as error:  # noqa: BLE001 - raised again on the other side
            passage.error = error
        finally:
            _mend(span, passage.call, raised=raised)

    return behave


def _name_trace(call: Call) -> Any:
    from opentelemetry import trace

    span = trace.get_current_span()
    call.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
    return span


def _mend(span: Any, call: Call, *, raised: bool) -> None:
    """Give the span the code that the RPC ended with, which the instrumentation sees only from set_code."""
    from opentelemetry.trace import Status, StatusCode

    code = call.outcome(raised=raised)
    span.set_attribute("rpc.grpc.status_code", code.value[0])
    if code in _SPAN_ERRORS:
        span.set_status(Status(StatusCode.ERROR, f"{code.name}: {call.details}"))
    if call.error is not None:
        span.record_exception(call.error)
