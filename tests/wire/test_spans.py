"""Spans of the running service."""

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.wire.batches import reads
from tests.world import refused, running_app

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
SAMPLED = [("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01")]
UNSAMPLED = [("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-00")]
METHOD = "onlinebooks.recommendations.v1.RecommendationService/Recommend"
RECOMMEND = pb.RecommendRequest(reader_id=1)


@pytest.fixture
def traced(prepared_shop, certificates, tmp_path):
    """Run calls against a service that traces; return the spans, all of which have left by its end."""

    def run(calls, *, trace_ratio: float = 0.0):
        exporter = InMemorySpanExporter()
        shop = prepared_shop.copy_to(tmp_path / "shop")
        with running_app(shop, certificates, span_exporter=exporter, trace_ratio=trace_ratio) as service:
            calls(service)
        return exporter.get_finished_spans()

    return run


def test_sampled_caller_gets_a_span_in_their_trace_that_the_access_log_names(traced):
    lines = []

    def calls(service):
        service.client.recommendations.Recommend(RECOMMEND, metadata=SAMPLED)
        lines.extend(service.log(1))

    (span,) = traced(calls)
    assert span.name.removeprefix("/") == METHOD
    assert span.kind is SpanKind.SERVER
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert f"{span.parent.span_id:016x}" == PARENT_ID
    assert span.attributes["rpc.grpc.status_code"] == 0
    assert span.resource.attributes["service.name"] == "recommendations"
    assert lines[0]["trace_id"] == TRACE_ID


def test_caller_who_is_not_sampled_gets_none_and_is_named_in_the_log_all_the_same(traced):
    lines = []

    def calls(service):
        service.client.recommendations.Recommend(RECOMMEND, metadata=UNSAMPLED)
        lines.extend(service.log(1))

    assert traced(calls, trace_ratio=1.0) == ()
    assert lines[0]["trace_id"] == TRACE_ID


@pytest.mark.parametrize(("ratio", "spans"), [(0.0, 0), (1.0, 3)])
def test_ratio_decides_for_callers_without_a_trace(traced, ratio, spans):
    def calls(service):
        for _ in range(3):
            service.client.recommendations.Recommend(RECOMMEND)

    assert len(traced(calls, trace_ratio=ratio)) == spans


def test_mistake_of_a_caller_is_no_error_of_the_span_and_a_fault_of_ours_is(traced):
    def calls(service):
        recommend = service.client.recommendations.Recommend
        refused(recommend, pb.RecommendRequest(page_size=-1), metadata=SAMPLED)
        service.app.recommender._shelves = None
        refused(recommend, RECOMMEND, metadata=SAMPLED)

    mistake, fault = traced(calls)
    assert mistake.attributes["rpc.grpc.status_code"] == 3
    assert mistake.status.status_code is StatusCode.UNSET
    assert fault.attributes["rpc.grpc.status_code"] == 13
    assert fault.status.status_code is StatusCode.ERROR
    assert fault.events[0].attributes["exception.type"] == "AttributeError"


def test_every_kind_of_call_has_its_span(traced):
    def calls(service):
        stub = service.client.recommendations
        list(stub.RecommendMany(iter([pb.RecommendManyRequest(request=RECOMMEND)] * 3), metadata=SAMPLED))
        stub.RecordInteractions(reads(1), metadata=SAMPLED)
        refused(service.client.send, "/no/such", b"", metadata=SAMPLED)
        service.log(3)

    names = [span.name.rpartition("/")[2] for span in traced(calls)]
    assert names == ["RecommendMany", "RecordInteractions", "unknown"]
