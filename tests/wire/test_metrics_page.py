"""What /metrics says after calls: exactly what was called, in a bounded number of series."""

import secrets

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.sample import sample_books
from tests.wire.batches import a_batch, an_interaction, reads
from tests.world import refused

V1 = "onlinebooks.recommendations.v1.RecommendationService"


@pytest.fixture
def service(start):
    return start()


def labels(method: str, service: str = V1, kind: str = "unary", **more: str) -> str:
    pairs = {**more, "grpc_method": method, "grpc_service": service, "grpc_type": kind}
    return "{" + ",".join(f'{key}="{value}"' for key, value in sorted(pairs.items())) + "}"


def changes(service, before: dict[str, float]) -> dict[str, float]:
    """Return by how much the counters of calls and of the service have grown."""
    counters = ("grpc_server_", "recommendations_")
    return {
        series: value - before.get(series, 0)
        for series, value in service.metrics().items()
        if series.startswith(counters)
        and "_bucket" not in series
        and "_sum" not in series
        and series != "recommendations_follow_lag_seconds"
        and value != before.get(series, 0)
    }


def by_model(service, family: str, **names: str) -> str:
    """Return the series of a counter of books for the model in use."""
    names["model_version"] = service.app.recommender.model.version
    return family + "{" + ",".join(f'{key}="{names[key]}"' for key in sorted(names)) + "}"


def test_every_call_is_counted_once_under_its_code(service):
    stub, before = service.client.recommendations, service.metrics()
    for _ in range(5):
        stub.Recommend(pb.RecommendRequest(reader_id=1))
    for _ in range(3):
        refused(stub.Recommend, pb.RecommendRequest(page_size=-1))
    refused(service.client.send, f"/{V1}/Recommend", b"\xff")
    refused(service.reader.recommendations.ForgetReader, pb.ForgetReaderRequest(reader_id=1))
    service.client.health.Check(HealthCheckRequest())
    service.log(11)
    recommend, forget = labels("Recommend"), labels("ForgetReader")
    check = labels("Check", "grpc.health.v1.Health")
    assert changes(service, before) == {
        f"grpc_server_started_total{recommend}": 9,
        f"grpc_server_msg_received_total{recommend}": 9,
        f"grpc_server_msg_sent_total{recommend}": 5,
        f"grpc_server_handled_total{labels('Recommend', grpc_code='OK')}": 5,
        f"grpc_server_handled_total{labels('Recommend', grpc_code='InvalidArgument')}": 4,
        f"grpc_server_handling_seconds_count{recommend}": 9,
        f"grpc_server_started_total{forget}": 1,
        f"grpc_server_msg_received_total{forget}": 1,
        f"grpc_server_handled_total{labels('ForgetReader', grpc_code='PermissionDenied')}": 1,
        f"grpc_server_handling_seconds_count{forget}": 1,
        f"grpc_server_started_total{check}": 1,
        f"grpc_server_msg_received_total{check}": 1,
        f"grpc_server_msg_sent_total{check}": 1,
        f"grpc_server_handled_total{labels('Check', 'grpc.health.v1.Health', grpc_code='OK')}": 1,
        f"grpc_server_handling_seconds_count{check}": 1,
        'recommendations_answers_total{strategy="personal"}': 5,
        by_model(service, "recommendations_shown_books_total", strategy="personal"): 50,
    }


def test_messages_of_a_stream_are_counted_one_by_one(service):
    before = service.metrics()
    requests = [pb.RecommendManyRequest(request=pb.RecommendRequest(reader_id=n)) for n in (1, 2, -1)]
    list(service.client.recommendations.RecommendMany(iter(requests)))
    service.log(1)
    stream = labels("RecommendMany", kind="bidi_stream")
    handled = labels("RecommendMany", kind="bidi_stream", grpc_code="OK")
    assert changes(service, before) == {
        f"grpc_server_started_total{stream}": 1,
        f"grpc_server_msg_received_total{stream}": 3,
        f"grpc_server_msg_sent_total{stream}": 3,
        f"grpc_server_handled_total{handled}": 1,
        f"grpc_server_handling_seconds_count{stream}": 1,
        'recommendations_answers_total{strategy="personal"}': 2,
        by_model(service, "recommendations_shown_books_total", strategy="personal"): 20,
    }


def test_service_tells_how_answers_came_about_and_what_was_recorded(service):
    stub, before = service.client.recommendations, service.metrics()
    stub.Recommend(pb.RecommendRequest(reader_id=7))
    stub.Recommend(pb.RecommendRequest(recent_book_ids=[1]))
    stub.Recommend(pb.RecommendRequest(reader_id=10**12, page_size=7))
    stub.RecordInteractions(reads(4))
    stub.RecordInteractions(a_batch(an_interaction("read-0", reader_id=900_001), an_interaction("new")))
    service.log(5)
    grown = changes(service, before)
    own = {series: by for series, by in grown.items() if series.startswith("recommendations_")}
    assert own == {
        'recommendations_answers_total{strategy="personal"}': 1,
        'recommendations_answers_total{strategy="session"}': 1,
        'recommendations_answers_total{strategy="popular"}': 1,
        "recommendations_filled_books_total": 7,
        "recommendations_interactions_recorded_total": 5,
        "recommendations_recorded_groups_total": 2,
        "recommendations_interaction_write_seconds_count": 2,
        "recommendations_readers": 4,
        by_model(service, "recommendations_shown_books_total", strategy="personal"): 10,
        by_model(service, "recommendations_shown_books_total", strategy="session"): 10,
        by_model(service, "recommendations_shown_books_total", strategy="popular"): 7,
    }


def test_what_came_of_answers_is_counted_by_strategy_and_model(service):
    stub = service.client.recommendations
    answers = [
        stub.Recommend(pb.RecommendRequest(reader_id=7)),
        stub.SimilarBooks(pb.SimilarBooksRequest(book_id=1)),
        stub.PopularBooks(pb.PopularBooksRequest()),
    ]
    before = service.metrics()
    names = [answer.recommendation_id for answer in answers]
    names += ["of-another-system", "0123456789ab-1-p00000000"]
    batch = [
        an_interaction(f"outcome-{number}", reader_id=900_002, recommendation_id=name)
        for number, name in enumerate(names)
    ]
    for _ in range(2):  # what is sent again is no second outcome
        stub.RecordInteractions(a_batch(*batch))
    grown = changes(service, before)
    taken = {series: by for series, by in grown.items() if "taken_books" in series}
    family = "recommendations_taken_books_total"
    assert taken == {
        by_model(service, family, strategy="personal", type="read"): 1,
        by_model(service, family, strategy="similar", type="read"): 1,
        family + '{model_version="none",strategy="popular",type="read"}': 1,
        family + '{model_version="other",strategy="personal",type="read"}': 1,
    }


def test_shop_model_and_conditions_are_there_from_the_start(service):
    metrics = service.metrics()
    version = service.shop.models.current_version()
    assert metrics["recommendations_catalogue_books"] == len(sample_books())
    assert metrics["recommendations_readers"] == 800
    method = service.app.recommender.model.method
    assert metrics[f'recommendations_model_info{{method="{method}",version="{version}"}}'] == 1
    assert metrics["recommendations_model_trained_timestamp_seconds"] > 1.7e9
    assert metrics['recommendations_model_loads_total{result="success"}'] == 1
    assert metrics['recommendations_model_loads_total{result="failure"}'] == 0
    for condition in ("catalogue", "model", "serving", "not_draining"):
        assert metrics[f'recommendations_condition{{condition="{condition}"}}'] == 1
    for limit in ("rate", "in_flight", "streams"):
        assert metrics[f'recommendations_refused_calls_total{{limit="{limit}"}}'] == 0
    for certificate in ("server", "client_ca"):
        expiry = f'recommendations_tls_certificate_expiry_timestamp_seconds{{certificate="{certificate}"}}'
        assert metrics[expiry] > 1.7e9


def test_names_that_callers_make_up_add_no_series(service):
    refused(service.client.send, "/warm/up", b"")
    service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=10**15 + 1))
    service.log(2)
    before = service.metrics()
    for _ in range(100):
        path = f"/{secrets.token_hex(4)}.{secrets.token_hex(4)}/{secrets.token_hex(4)}"
        refused(service.client.send, path, b"", metadata=[("x-request-id", secrets.token_hex(8))])
        service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=secrets.randbelow(10**15) + 1))
    service.log(202)
    after = service.metrics()
    assert set(after) == set(before)
    unknown = labels("unknown", "unknown", "client_stream", grpc_code="Unimplemented")
    assert after[f"grpc_server_handled_total{unknown}"] == 101


def test_no_series_names_a_reader_a_caller_or_a_certificate(service):
    service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=7_214_365_890))
    page = service.get("/metrics")
    assert "7214365890" not in page
    assert "spiffe:" not in page
    assert "127.0.0.1" not in page
