"""Messages and calls that no client library would make, and deadlines."""

import grpc
import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.wire.batches import an_interaction, reads
from tests.world import refusal_of, refused

V1 = "/onlinebooks.recommendations.v1.RecommendationService/"
UNARY_PATHS = [
    "/Recommendations/Recommend",
    *(f"{V1}{name}" for name in ("Recommend", "SimilarBooks", "RecordInteractions", "GetModel")),
    *(f"/onlinebooks.recommendations.v1.CatalogueService/{name}" for name in ("GetBook", "UpsertBooks")),
]


def varint(field: int, value: int) -> bytes:
    """Encode a number as protobuf does, without the checks of a message class."""
    encoded = bytearray([field << 3])
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


@pytest.mark.parametrize("path", UNARY_PATHS)
@pytest.mark.parametrize(
    "message", [b"\xff\xff\xff", b"\x08", b"\x0a\xff\xff\xff\xff\x0f", b"GET / HTTP/1.1"]
)
def test_garbage_is_refused(service, path, message):
    before = service.shop.counts()
    refusal = refused(service.client.send, path, message)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "UNDECODABLE_MESSAGE"
    assert refusal.message.endswith(f"its {len(message)} bytes cannot be parsed")
    assert service.shop.counts() == before


def test_text_that_is_not_utf8_is_refused(service):
    category = b"\x0a\x02\xc3\x28"
    refusal = refused(service.client.send, f"{V1}PopularBooks", category)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("path", "message", "told"),
    [
        (f"{V1}Recommend", varint(1, 2**63), f"reader_id: {-(2**63)} is not between"),
        (f"{V1}Recommend", varint(1, 2**64 - 1), "reader_id: -1 is not between"),
        (f"{V1}SimilarBooks", varint(1, 2**63), f"book_id: {-(2**63)} is not between"),
        (f"{V1}Recommend", varint(4, 2**31), f"page_size: {-(2**31)} is not between"),
        (
            "/Recommendations/Recommend",
            varint(1, 2**31) + varint(3, 1),
            f"user_id: {-(2**31)} is not between",
        ),
    ],
)
def test_number_beyond_the_field_is_refused(service, path, message, told):
    refusal = refused(service.client.send, path, message)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.message.startswith(told)


def test_number_of_more_bits_than_protobuf_has_is_garbage(service):
    refusal = refused(service.client.send, f"{V1}Recommend", b"\x08" + b"\xff" * 11 + b"\x01")
    assert refusal.reason == "UNDECODABLE_MESSAGE"


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_five_megabytes_are_refused_however_small_they_were_sent(service, compression):
    before = service.shop.counts()
    batch = reads(9_999)
    batch.interactions.append(an_interaction("x" * 5_000_000))
    stub = service.client.recommendations
    refusal = refused(stub.RecordInteractions, batch, compression=compression)
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "essage larger than max" in refusal.message  # gRPC's own words
    assert service.shop.counts() == before
    assert stub.Recommend(pb.RecommendRequest(reader_id=1)).books


@pytest.mark.parametrize(
    "path",
    [
        "/onlinebooks.recommendations.v1.RecommendationService/Guess",
        "/onlinebooks.recommendations.v9.RecommendationService/Recommend",
        "/Recommendations/recommend",
        "/",
        "/x",
    ],
)
def test_unknown_method_is_unimplemented(service, path):
    refusal = refused(service.client.send, path, b"")
    assert refusal.code is grpc.StatusCode.UNIMPLEMENTED
    assert refusal.message == f"unknown method {path}"
    assert refusal.reason == "UNKNOWN_METHOD"


def test_unknown_streaming_method_is_unimplemented(service):
    for call in (service.client.channel.stream_stream, service.client.channel.stream_unary):
        refusal = refused(call("/shop.Tills/Watch"), iter([b"x"] * 3))
        assert refusal.code is grpc.StatusCode.UNIMPLEMENTED


def test_call_without_a_deadline_is_answered(service):
    assert service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=1), timeout=None).books


def code_of(call, *arguments, **options) -> grpc.StatusCode:
    try:
        call(*arguments, **options)
    except grpc.RpcError as error:
        return refusal_of(error).code
    return grpc.StatusCode.OK


# gRPC rounds a client's deadline up to whole milliseconds: now and then an answer is in time.
IN_TIME_OR_NOT = {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED}


def test_tenth_of_a_millisecond_harms_nobody(service):
    recommend = service.client.recommendations.Recommend
    codes = {code_of(recommend, pb.RecommendRequest(reader_id=1), timeout=0.0001) for _ in range(50)}
    assert codes <= IN_TIME_OR_NOT
    assert recommend(pb.RecommendRequest(reader_id=1)).books


def test_write_that_ran_out_of_time_is_stored_whole_or_not_at_all(start):
    service = start()
    record = service.client.recommendations.RecordInteractions
    before = service.shop.counts()[1]
    batches = [reads(50, f"batch-{number}") for number in range(20)]
    assert {code_of(record, batch, timeout=0.0001) for batch in batches} <= IN_TIME_OR_NOT
    # Sent again, each batch is stored exactly once, whichever of them got through before.
    for batch in batches:
        answer = record(batch)
        assert {answer.recorded_count, answer.duplicate_count} == {0, 50}
    assert service.shop.counts()[1] == before + 1000
