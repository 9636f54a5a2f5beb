"""Starting on models in a bucket that is away, denies, is missing or holds something broken."""

import shutil
from pathlib import Path

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.failure import Failure
from tests.models.places import Place, bucket_place, flip_a_bit
from tests.models.service_on import Start, condition, loads, publish, settings, version
from tests.s3 import Proxy, S3Server
from tests.tools import wait_until
from tests.world import Shop


def test_while_the_store_is_away_it_waits_degraded_and_becomes_ready_once_it_is_there(
    start: Start, shop: Shop, tmp_path: Path, server: S3Server
) -> None:
    place = bucket_place(tmp_path, server)
    first, _ = publish(shop, place)
    server.kill()
    service = start(shop, **settings(place))
    answer = service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=7))
    assert answer.strategy == pb.STRATEGY_DEGRADED
    assert service.metrics()['recommendations_condition{condition="model"}'] == 0
    server.start()
    wait_until(lambda: service.metrics()['recommendations_condition{condition="model"}'] == 1)
    assert version(service.client) == first


def test_while_the_store_is_away_the_copy_answers_and_that_is_said(
    start: Start, shop: Shop, tmp_path: Path, server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    place = bucket_place(tmp_path, server)
    first, second = publish(shop, place)
    place.store.load()
    server.kill()
    service = start(shop, **settings(place))
    assert version(service.client) == first
    answer = service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=7))
    assert (answer.strategy, answer.model_version) == (pb.STRATEGY_PERSONAL, first)
    said = f"{server.endpoint} does not answer: connection refused; still answering from {first}"
    assert condition(service)[0]
    assert condition(service)[1].endswith(said)
    assert said in caplog.text
    server.start()
    place.store.promote(second)
    wait_until(lambda: version(service.client) == second)
    wait_until(lambda: condition(service) == (True, ""))


def test_while_the_store_hangs_the_copy_answers(
    start: Start, shop: Shop, tmp_path: Path, server: S3Server
) -> None:
    place = bucket_place(tmp_path, server)
    first, _ = publish(shop, place)
    place.store.load()
    server.pause()
    service = start(shop, **settings(place))
    assert version(service.client) == first
    assert "does not answer: nothing within" in condition(service)[1]


def wrong_key(place: Place, tmp_path: Path, s3: S3Server) -> dict:
    return {"models_credentials_file": s3.write_credentials(tmp_path / "wrong", secret="not-the-secret")}


def no_bucket(place: Place, tmp_path: Path, s3: S3Server) -> dict:
    shutil.rmtree(place.files.parents[1])
    return {}


def flipped_bit(place: Place, tmp_path: Path, s3: S3Server) -> dict:
    flip_a_bit(place.files / place.store.current_version() / "weights.npy")
    return {}


def pointer_to_nothing(place: Place, tmp_path: Path, s3: S3Server) -> dict:
    place.point("20200101-000000-00000000\n")
    return {}


def half_written(place: Place, tmp_path: Path, s3: S3Server) -> dict:
    (place.files / place.store.current_version() / "indices.npy").unlink()
    return {}


BROKEN = [
    (wrong_key, "refuses the key in {tmp_path}/wrong (403 SignatureDoesNotMatch)"),
    (no_bucket, "has no bucket"),
    (flipped_bit, "weights.npy: was altered after it was written"),
    (pointer_to_nothing, "current: names version 20200101-000000-00000000, which is not there"),
    (half_written, "indices.npy: no such object"),
]


@pytest.mark.parametrize(("damage", "complaint"), BROKEN)
def test_without_a_copy_what_is_broken_is_a_refused_start(
    start: Start, shop: Shop, tmp_path: Path, s3: S3Server, damage, complaint: str
) -> None:
    place = bucket_place(tmp_path, s3)
    publish(shop, place)
    changed = damage(place, tmp_path, s3)
    with pytest.raises(Failure) as raised:
        start(shop, **settings(place) | changed)
    assert complaint.format(tmp_path=tmp_path) in str(raised.value)
    assert "not-the-secret" not in str(raised.value)


@pytest.mark.parametrize(("damage", "complaint"), BROKEN)
def test_with_a_copy_of_the_model_before_it_answers_and_what_is_broken_is_said(
    start: Start, shop: Shop, tmp_path: Path, s3: S3Server, damage, complaint: str
) -> None:
    place = bucket_place(tmp_path, s3)
    first, second = publish(shop, place)
    place.store.load()
    place.store.promote(second)
    service = start(shop, **settings(place) | damage(place, tmp_path, s3))
    assert version(service.client) == first
    ready, reason = condition(service)
    assert ready
    assert complaint.format(tmp_path=tmp_path) in reason
    assert reason.endswith(f"; still answering from {first}")
    assert (loads(service, "success"), loads(service, "failure")) == (1, 1)


def test_a_broken_model_without_a_copy_is_not_downloaded_by_every_look(
    start: Start, shop: Shop, tmp_path: Path, s3: S3Server
) -> None:
    with Proxy(s3.port) as proxy:
        place = bucket_place(tmp_path, s3, endpoint=proxy.endpoint)
        first, second = publish(shop, place)
        service = start(shop, **settings(place))
        flip_a_bit(place.files / second / "weights.npy")
        proxy.requests.clear()
        place.point(f"{second}\n{first}\n")
        wait_until(lambda: loads(service, "failure") == 1)
        looks = sum(b"/current " in line for line in proxy.requests)
        wait_until(lambda: sum(b"/current " in line for line in proxy.requests) > looks + 5)
        assert sum(b"weights.npy" in line for line in proxy.requests) == 1
        assert version(service.client) == first
        place.store.promote(first)
        wait_until(lambda: condition(service) == (True, ""))
