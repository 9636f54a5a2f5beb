"""Which model answers, and that changing it costs no call."""

import threading
from dataclasses import replace

import grpc
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from prometheus_client import CollectorRegistry

from service.domain.answers import Query
from service.domain.recommender import Recommender
from service.models import ModelStore
from service.operations.conditions import Conditions
from service.sample import sample_books
from service.training import TrainingSettings
from service.upkeep import MODEL, Upkeep
from tests.domain.shop import book, did, log_of
from tests.models.made_models import DIGEST, SETTINGS, made_model
from tests.world import READER_COUNT, wait_until

SMALLER = TrainingSettings(candidate_count=20, factor_count=16)


def version(stub) -> str:
    return stub.GetModel(pb.GetModelRequest()).version


def lists(stub) -> list:
    readers = (1, 7, 42, 99, 700, 10**9)
    return [list(stub.Recommend(pb.RecommendRequest(reader_id=each, page_size=50)).books) for each in readers]


def test_model_tells_what_it_was_trained_on_and_how_good_it_is(service):
    model = service.client.recommendations.GetModel(pb.GetModelRequest())
    assert model.version == service.shop.models.current_version()
    assert model.method
    assert model.book_count == len(sample_books())
    assert 0 < model.reader_count <= READER_COUNT
    assert 0 < model.interaction_count <= service.shop.counts()[1]
    assert model.trained_at.ToDatetime().year >= 2026
    assert model.metrics["recall@20"] >= 2 * model.metrics["popularity_recall@20"] > 0


def test_two_services_on_the_same_data_answer_alike(service, start):
    assert lists(start().client.recommendations) == lists(service.client.recommendations)


def test_promoted_model_is_taken_up_without_a_failed_call(start, shop):
    service = start(shop, model_check_seconds=0.1)
    stub = service.client.recommendations
    before, first = version(stub), lists(stub)
    done, failures, answered = threading.Event(), [], set()

    def keep_calling() -> None:
        while not done.is_set():
            try:
                answer = stub.Recommend(pb.RecommendRequest(reader_id=7))
                answered.add(answer.model_version)
                assert len(answer.books) == 10
            except (grpc.RpcError, AssertionError) as failure:
                failures.append(failure)

    callers = [threading.Thread(target=keep_calling) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        trained = shop.train(SMALLER)
        wait_until(lambda: trained in answered)
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert failures == []
    assert answered == {before, trained}
    assert version(stub) == trained
    assert lists(stub) != first
    assert service.metrics()['recommendations_model_loads_total{result="success"}'] == 2


def test_rolled_back_model_answers_as_before(start, shop):
    service = start(shop, model_check_seconds=0.1)
    stub = service.client.recommendations
    before, first = version(stub), lists(stub)
    trained = shop.train(SMALLER)
    wait_until(lambda: version(stub) == trained)
    shop.models.rollback()
    wait_until(lambda: version(stub) == before)
    assert lists(stub) == first


def test_model_that_is_damaged_is_refused_and_the_one_before_goes_on_answering(start, shop, caplog):
    service = start(shop, model_check_seconds=0.1)
    stub = service.client.recommendations
    before, first = version(stub), lists(stub)
    damaged = shop.train(SMALLER, promote=False)
    weights = max((shop.model_files / damaged).glob("*.npy"), key=lambda path: path.stat().st_size)
    weights.write_bytes(weights.read_bytes()[:-100])
    pointer = shop.model_files / ".pointer"
    pointer.write_text(f"{damaged}\n{before}\n")
    pointer.replace(shop.model_files / "current")  # in one step: the service may be looking
    wait_until(lambda: service.metrics()['recommendations_model_loads_total{result="failure"}'] == 1)
    assert version(stub) == before
    assert lists(stub) == first
    assert str(weights) in caplog.text
    assert before in caplog.text


def test_another_shops_model_is_refused_and_the_one_before_goes_on_answering(start, shop, caplog):
    service = start(shop, model_check_seconds=0.1)
    stub = service.client.recommendations
    before, first = version(stub), lists(stub)
    model = made_model()
    foreign = replace(model, book_ids=model.book_ids + 10**6)
    shop.models.promote(shop.models.save(foreign, settings=SETTINGS, data_digest=DIGEST))
    wait_until(lambda: service.metrics()['recommendations_model_loads_total{result="failure"}'] == 1)
    assert version(stub) == before
    assert lists(stub) == first
    assert "of its 40 books the catalogue has 0, less than half" in caplog.text


def test_trained_model_knows_what_was_recorded_while_serving(start, shop):
    service = start(shop, model_check_seconds=0.1)
    stub = service.client.recommendations
    counted = stub.GetModel(pb.GetModelRequest()).interaction_count
    batch = [
        pb.Interaction(
            interaction_id=f"{reader}-{book}", reader_id=reader, book_id=book, type=pb.INTERACTION_TYPE_READ
        )
        for reader in range(900_001, 900_051)
        for book in (10, 20)
    ]
    stub.RecordInteractions(pb.RecordInteractionsRequest(interactions=batch))
    trained = shop.train()
    wait_until(lambda: version(stub) == trained)
    assert stub.GetModel(pb.GetModelRequest()).interaction_count == counted + 100
    similar = stub.SimilarBooks(pb.SimilarBooksRequest(book_id=10, page_size=3)).books
    assert 20 in [book.book_id for book in similar]


def test_popularity_is_refreshed_though_there_is_no_model(tmp_path):
    live = Recommender.of([book(1), book(2)], log_of(did(1, 1)))
    conditions = Conditions([MODEL])
    (tmp_path / "models").mkdir()
    registry = CollectorRegistry()
    store = ModelStore.open(str(tmp_path / "models"), cache_directory=tmp_path)
    with Upkeep(store, live, conditions, 0.05, registry, popularity_seconds=0.05):
        live.learn([did(2, 2), did(3, 2)])
        wait_until(lambda: live.recommend(Query(places=1)).suggestions[0].book.id == 2)
    assert not conditions.ready
