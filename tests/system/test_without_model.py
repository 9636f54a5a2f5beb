"""Without a trained model the service runs, says that it is not ready, and takes the first one up."""

import json

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1 import recommendation_service_pb2_grpc as stubs

from tests.system.processes import run, wait_until


def test_it_waits_for_a_model_degraded_and_takes_up_the_first_one(serve, shop):
    version, *_ = (shop.models / "current").read_text().split()
    (shop.models / "current").unlink()
    service = serve(shop).wait_listening()
    code, page = service.get("/readyz")
    condition = json.loads(page)["conditions"]["model"]
    assert (code, condition["value"]) == (503, False)
    assert "recommendations train" in condition["reason"]

    with service.channel(shop.certificates) as channel:
        stub = stubs.RecommendationServiceStub(channel)
        answer = stub.Recommend(pb.RecommendRequest(reader_id=7), timeout=10)
        assert (answer.strategy, answer.model_version) == (pb.STRATEGY_DEGRADED, "")
        assert len(answer.books) == answer.filled_count == 10

        promoted = run("models", "promote", version, settings=shop.settings, cwd=shop.directory)
        assert promoted.returncode == 0, promoted.stderr
        wait_until(lambda: service.get("/readyz")[0] == 200, "the model")
        answer = stub.Recommend(pb.RecommendRequest(reader_id=7), timeout=10)
        assert (answer.strategy, answer.model_version) == (pb.STRATEGY_PERSONAL, version)
    assert service.stop() == 0


def test_a_broken_model_promoted_later_leaves_the_one_in_use(serve, shop):
    service = serve(shop).wait_ready()
    pointer = shop.models / ".pointer"
    pointer.write_text("20200101-000000-00000000\n")
    pointer.replace(shop.models / "current")  # in one step: the service may be looking
    wait_until(lambda: "which is not there" in service.stderr, "the complaint")
    assert service.get("/readyz")[0] == 200
    assert 'recommendations_model_loads_total{result="failure"} 1.0' in service.get("/metrics")[1]
    assert service.stop() == 0
