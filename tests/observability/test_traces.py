"""A worked example: the caller's span and the service's arrive at a collector as one trace."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import client_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.world import Client, running_app


class Collector(ThreadingHTTPServer):
    """An OTLP/HTTP receiver on a free port; `spans` are what came, with the name of who sent them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.spans: list[tuple[str, Span]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            (name,) = [
                each.value.string_value for each in sent.resource.attributes if each.key == "service.name"
            ]
            self.server.spans += [(name, span) for scope in sent.scope_spans for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def tracing_shop(collector: Collector) -> Iterator[TracerProvider]:
    """Trace as the shop's back end does."""
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=collector.endpoint)))
    yield provider
    provider.shutdown()


def test_the_callers_span_is_the_parent_of_ours_in_one_trace_that_the_log_names(
    prepared_shop, certificates, tmp_path, collector
):
    shop = prepared_shop.copy_to(tmp_path / "shop")
    # Of calls without a trace none is traced: what arrives is here because the caller asked for it.
    with (
        tracing_shop(collector) as provider,
        running_app(shop, certificates, otlp_endpoint=collector.endpoint, trace_ratio=0) as service,
    ):
        traced = intercept_channel(service.client.channel, client_interceptor(tracer_provider=provider))
        with provider.get_tracer("shop").start_as_current_span("a page of the shop"):
            Client(traced).recommendations.Recommend(pb.RecommendRequest(reader_id=1))
        service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=2))
        in_trace, alone = service.log(2)
    # The service has stopped, and has sent what was queued.
    spans = {(sender, span.kind): span for sender, span in collector.spans}
    assert len(spans) == len(collector.spans) == 3
    page = spans["shop", Span.SPAN_KIND_INTERNAL]
    call = spans["shop", Span.SPAN_KIND_CLIENT]
    answer = spans["recommendations", Span.SPAN_KIND_SERVER]
    assert page.parent_span_id == b""
    assert call.parent_span_id == page.span_id
    assert answer.parent_span_id == call.span_id
    assert {span.trace_id for span in spans.values()} == {page.trace_id}
    assert call.start_time_unix_nano <= answer.start_time_unix_nano
    assert answer.end_time_unix_nano <= call.end_time_unix_nano
    assert answer.name.endswith("RecommendationService/Recommend")
    assert (in_trace["trace_id"], alone["trace_id"]) == (page.trace_id.hex(), None)
