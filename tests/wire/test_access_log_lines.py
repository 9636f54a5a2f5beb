"""The access log of the running service: one JSON line a call, with its level, and never a reader."""

import json
import re
import sqlite3
from contextlib import closing

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from recommendations_pb2 import RecommendationRequest

from tests.wire.batches import a_batch, an_interaction
from tests.world import refused

READER = 7_214_365_890
V1 = "/onlinebooks.recommendations.v1.RecommendationService/"
FIELDS = {
    "time",
    "level",
    "msg",
    "method",
    "kind",
    "code",
    "duration_ms",
    "peer",
    "identity",
    "request_id",
    "trace_id",
}


@pytest.fixture
def service(start):
    return start()


def test_line_says_when_what_who_and_how(service):
    service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=1))
    (line,) = service.log(1)
    assert set(line) == FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert (line["level"], line["msg"], line["code"]) == ("info", "rpc", "OK")
    assert (line["method"], line["kind"]) == (f"{V1}Recommend", "unary")
    assert 0 < line["duration_ms"] < 10_000
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert line["identity"] == "spiffe://onlinebooks.example/client"
    assert line["trace_id"] is None


def test_mistake_of_a_caller_is_info_with_what_they_were_told_and_no_traceback(service):
    refusal = refused(service.client.recommendations.Recommend, pb.RecommendRequest(page_size=-1))
    (line,) = service.log(1)
    assert set(line) == FIELDS | {"error"}
    assert (line["level"], line["code"], line["error"]) == ("info", "InvalidArgument", refusal.message)


def test_denied_call_is_logged_with_its_caller(service):
    refused(service.reader.recommendations.ForgetReader, pb.ForgetReaderRequest(reader_id=READER))
    (line,) = service.log(1)
    assert (line["level"], line["code"]) == ("info", "PermissionDenied")
    assert line["identity"] == "spiffe://onlinebooks.example/reader"


def test_fault_of_ours_is_an_error_with_traceback_and_the_client_is_told_a_request_id_alone(service):
    """A bug: what a handler needs is gone."""
    service.app.recommender._shelves = None
    refusal = refused(
        service.client.recommendations.Recommend,
        pb.RecommendRequest(reader_id=1),
        metadata=[("x-request-id", "order-66")],
    )
    assert refusal.code.name == "INTERNAL"
    assert refusal.message == "internal error; request id order-66"
    (line,) = service.log(1)
    assert (line["level"], line["code"], line["request_id"]) == ("error", "Internal", "order-66")
    assert "AttributeError" in line["traceback"]


def test_request_id_is_taken_from_the_caller_or_made_and_comes_back(service):
    recommend = service.client.recommendations.Recommend
    for given in ("abc-123", "not a request id", None):
        metadata = [("x-request-id", given)] if given else []
        _, call = recommend.with_call(pb.RecommendRequest(), metadata=metadata)
        returned = dict(call.trailing_metadata())["x-request-id"]
        assert (returned == given) == (given == "abc-123")
    assert service.log(3)[0]["request_id"] == "abc-123"
    assert len({line["request_id"] for line in service.log(3)}) == 3


def test_stream_is_one_line_at_its_end(service):
    requests = [pb.RecommendManyRequest(request=pb.RecommendRequest(reader_id=n)) for n in (1, -1, 2)]
    list(service.client.recommendations.RecommendMany(iter(requests)))
    (line,) = service.log(1)
    assert (line["method"], line["kind"], line["code"]) == (f"{V1}RecommendMany", "bidi_stream", "OK")


def test_unknown_method_and_garbage_are_logged(service):
    refused(service.client.send, "/no/such", b"")
    refused(service.client.send, f"{V1}Recommend", b"\xff")
    lines = service.log(2)
    assert [(line["method"], line["code"]) for line in lines] == [
        ("/unknown/unknown", "Unimplemented"),
        (f"{V1}Recommend", "InvalidArgument"),
    ]
    assert "/no/such" in lines[0]["error"]


def test_no_line_names_a_reader(service):
    stub, tutorial = service.client.recommendations, service.client.tutorial
    stub.Recommend(pb.RecommendRequest(reader_id=READER))
    refused(stub.Recommend, pb.RecommendRequest(reader_id=READER, page_size=-1))
    refused(stub.Recommend, pb.RecommendRequest(reader_id=READER, recent_book_ids=[1]))
    refused(stub.Recommend, pb.RecommendRequest(reader_id=READER, page_token="forged"))
    list(stub.RecommendMany(iter([pb.RecommendManyRequest(request=pb.RecommendRequest(reader_id=READER))])))
    stub.RecordInteractions(a_batch(an_interaction(reader_id=READER)))
    refused(stub.RecordInteractions, a_batch(an_interaction("x", reader_id=READER, type=9)))
    stub.ForgetReader(pb.ForgetReaderRequest(reader_id=READER))
    tutorial.Recommend(RecommendationRequest(user_id=1_214_365_890, max_results=1))
    lines = json.dumps(service.log(9))
    assert str(READER) not in lines
    assert "1214365890" not in lines


def test_even_our_own_mistake_with_the_database_names_no_reader(start, shop):
    service = start(shop)
    with closing(sqlite3.connect(shop.directory / "recommendations.db")) as database:
        database.execute("ALTER TABLE interactions RENAME TO elsewhere")
    batch = a_batch(an_interaction(reader_id=READER))
    refused(service.client.recommendations.RecordInteractions, batch)
    (line,) = service.log(1)
    assert (line["level"], line["code"]) == ("error", "Internal")
    assert "interactions" in line["traceback"]
    assert str(READER) not in json.dumps(line)


def test_log_level_holds_for_calls_too(start):
    service = start(log_level="warning")
    service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=1))
    refused(service.client.recommendations.Recommend, pb.RecommendRequest(page_size=-1))
    assert service.log(0) == []
