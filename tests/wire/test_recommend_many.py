"""Recommend for many over one stream."""

import grpc
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.world import refused

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT.value[0]


def many(*requests: pb.RecommendRequest):
    return (pb.RecommendManyRequest(request=request) for request in requests)


def test_answers_come_in_the_order_of_the_requests_and_are_those_of_recommend(service):
    stub = service.client.recommendations
    requests = [pb.RecommendRequest(reader_id=reader, page_size=5) for reader in (9, 3, 700, 3, 10**12)]
    answers = [answer.response for answer in stub.RecommendMany(many(*requests))]
    for request, answer in zip(requests, answers, strict=True):
        alone = stub.Recommend(request)
        assert list(answer.books) == list(alone.books)
        assert answer.strategy == alone.strategy


def test_refused_requests_are_answered_in_their_place_and_the_stream_goes_on(service):
    requests = many(
        pb.RecommendRequest(reader_id=1),
        pb.RecommendRequest(reader_id=-5),
        pb.RecommendRequest(reader_id=2, categories=["cookery"]),
        pb.RecommendRequest(reader_id=3, page_token="forged"),
        pb.RecommendRequest(reader_id=4),
    )
    answers = list(service.client.recommendations.RecommendMany(requests))
    outcomes = [answer.WhichOneof("outcome") for answer in answers]
    assert outcomes == ["response", "refusal", "refusal", "refusal", "response"]
    refusals = [answer.refusal for answer in answers[1:4]]
    assert [refusal.code for refusal in refusals] == [INVALID_ARGUMENT] * 3
    assert refusals[0].message == "reader_id: -5 is not between 1 and 9223372036854775807"
    assert refusals[1].message == 'categories: "cookery" is not a category of the catalogue'
    assert refusals[2].message.startswith("page_token: ")


def test_five_thousand_requests_are_answered(service):
    requests = many(*(pb.RecommendRequest(reader_id=reader, page_size=3) for reader in range(1, 5001)))
    answers = list(service.client.recommendations.RecommendMany(requests))
    assert len(answers) == 5000
    assert all(len(answer.response.books) == 3 for answer in answers)
    personal = sum(answer.response.strategy == pb.STRATEGY_PERSONAL for answer in answers)
    assert 700 <= personal <= 800  # of the 800 readers that the shop has


def test_stream_without_requests_ends_well(service):
    assert list(service.client.recommendations.RecommendMany(iter(()))) == []


def test_bytes_that_are_no_message_end_the_stream_after_the_answers_before(service):
    path = "/onlinebooks.recommendations.v1.RecommendationService/RecommendMany"
    good = pb.RecommendManyRequest(request=pb.RecommendRequest(reader_id=1)).SerializeToString()
    stream = service.client.channel.stream_stream(path)(iter([good, b"\xff\xff\xff"]))
    assert pb.RecommendManyResponse.FromString(next(stream)).response.books
    refusal = refused(list, stream)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "its 3 bytes cannot be parsed" in refusal.message


def test_client_that_goes_away_gives_its_stream_back(start):
    service = start(stream_threads=1)
    stream = service.client.recommendations.RecommendMany(many(pb.RecommendRequest(reader_id=1)))
    next(stream)
    stream.cancel()
    assert service.log(1)[0]["code"] in ("Canceled", "OK")
    answers = service.client.recommendations.RecommendMany(many(pb.RecommendRequest(reader_id=1)))
    assert len(list(answers)) == 1
