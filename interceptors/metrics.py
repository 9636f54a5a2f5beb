"""Count and time every RPC under the names of go-grpc-middleware, which existing dashboards query.

Must not know callers: labels are bounded, with never an identity and never a name that a client chose.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from interceptors.call import UNKNOWN_METHOD, Call, Method
from interceptors.chain import Interceptor, Proceed
from interceptors.status import GO_NAMES

# From well under one answer of the recommender up to the longest unary deadline; the library's begin at 5 ms.
BUCKETS_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

_LABELS = ("grpc_type", "grpc_service", "grpc_method")


class Metrics(Interceptor):
    """Keep the grpc_server_* series in `registry`; those of `methods` are there, at zero, from the start.

    A `_created` series beside each one would double the scrape: they are switched off for the process.
    """

    def __init__(self, registry: CollectorRegistry, methods: Iterable[Method] = ()):
        disable_created_metrics()
        self._started = Counter(
            "grpc_server_started_total", "RPCs started on the server.", _LABELS, registry=registry
        )
        self._handled = Counter(
            "grpc_server_handled_total",
            "RPCs completed on the server, regardless of success or failure.",
            (*_LABELS, "grpc_code"),
            registry=registry,
        )
        self._received = Counter(
            "grpc_server_msg_received_total",
            "Messages of requests received on the server.",
            _LABELS,
            registry=registry,
        )
        self._sent = Counter(
            "grpc_server_msg_sent_total",
            "Messages of replies sent by the server.",
            _LABELS,
            registry=registry,
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "Seconds from the start of an RPC's handling to its end.",
            _LABELS,
            buckets=BUCKETS_SECONDS,
            registry=registry,
        )
        self._series: dict[Method, _Series] = {}
        for method in (*methods, UNKNOWN_METHOD):
            self._series[method] = _Series(self, method)

    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        series = self._series.get(method) or self._series.setdefault(method, _Series(self, method))
        received, sent = series.received.inc, series.sent.inc

        def counted(request: Any) -> Any:
            received()
            return request

        def incoming(request: Any) -> Any:
            return map(counted, request) if method.request_streaming else counted(request)

        def unary(call: Call, request: Any) -> Any:
            series.started.inc()
            started = time.perf_counter()
            try:
                response = proceed(call, incoming(request))
            except BaseException:
                series.end(call.outcome(raised=True), started)
                raise
            code = call.outcome(raised=False)
            if code is grpc.StatusCode.OK:
                sent()
            series.end(code, started)
            return response

        def outgoing(responses: Iterator[Any]) -> Iterator[Any]:
            for response in responses:
                sent()
                yield response

        def stream(call: Call, request: Any) -> Iterator[Any]:
            series.started.inc()
            started = time.perf_counter()
            raised = True
            try:
                yield from outgoing(proceed(call, incoming(request)))
                raised = False
            finally:
                series.end(call.outcome(raised=raised), started)

        return stream if method.response_streaming else unary


class _Series:
    """The children of one method, looked up once: `labels()` costs three times an increment."""

    def __init__(self, metrics: Metrics, method: Method):
        labels = (method.kind, method.service, method.name)
        self.started = metrics._started.labels(*labels)
        self.received = metrics._received.labels(*labels)
        self.sent = metrics._sent.labels(*labels)
        self._handled = {code: metrics._handled.labels(*labels, GO_NAMES[code]) for code in grpc.StatusCode}
        self._succeeded = self._handled[grpc.StatusCode.OK]
        self._seconds = metrics._seconds.labels(*labels)

    def end(self, code: grpc.StatusCode, started: float) -> None:
        ok = code is grpc.StatusCode.OK  # hashing an enum member costs more than all the rest here
        handled = self._succeeded if ok else self._handled.get(code, self._handled[grpc.StatusCode.UNKNOWN])
        handled.inc()
        self._seconds.observe(time.perf_counter() - started)
