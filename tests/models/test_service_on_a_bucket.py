"""The whole service on models in a bucket: taken up, swapped under load, with a store in trouble."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.failure import Failure
from service.training import TrainingSettings
from tests.models.places import Place, bucket_place, directory_place
from tests.s3 import S3Server
from tests.system.processes import ServiceProcess
from tests.tools import wait_until
from tests.world import Certificates, Client, RunningApp, Shop, settings_for

CHECK_SECONDS = 0.1
SWAPS = 6
Start = Callable[..., RunningApp]


@pytest.fixture
def server() -> Iterator[S3Server]:
    """A server of the test's own, which may be stopped."""
    with S3Server() as server:
        yield server


def settings(place: Place) -> dict[str, Any]:
    """Return the service's settings for a place."""
    names = {"endpoint": "models_endpoint", "credentials_file": "models_credentials_file"}
    options = {names[name]: value for name, value in place.options.items() if name in names}
    return options | {
        "models_url": place.name,
        "models_cache_directory": place.options["cache_directory"],
        "model_check_seconds": CHECK_SECONDS,
    }


def publish(shop: Shop, place: Place) -> list[str]:
    """Save two models of the shop in a place, promote the first, and return their versions."""
    shop.train(TrainingSettings(neighbour_count=20))
    versions = []
    for summary in shop.models.list():
        model, manifest = shop.models.load(summary.version), shop.models.manifest(summary.version)
        versions.append(
            place.store.save(model, settings=manifest["settings"], data_digest=manifest["data_digest"])
        )
    place.store.promote(versions[0])
    return versions


def version(client: Client) -> str:
    answered: str = client.recommendations.GetModel(pb.GetModelRequest()).version
    return answered


@contextmanager
def callers(client: Client, failures: list[Exception]) -> Iterator[set[str]]:
    """Keep calling from two threads; gives the versions of the models that have answered."""
    done, answered = threading.Event(), set()

    def keep_calling(reader: int) -> None:
        while not done.is_set():
            try:
                answer = client.recommendations.Recommend(pb.RecommendRequest(reader_id=reader), timeout=10)
                assert len(answer.books) == 10
                answered.add(answer.model_version)
            except (grpc.RpcError, AssertionError) as failure:
                failures.append(failure)

    threads = [threading.Thread(target=keep_calling, args=(reader,)) for reader in (7, 42)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("kind", ["directory", "bucket"])
def test_models_are_swapped_under_load_without_a_failed_call(
    kind: str, start: Start, shop: Shop, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "directory":
        place = directory_place(tmp_path)
    else:
        place = bucket_place(tmp_path, request.getfixturevalue("s3"))
    versions = publish(shop, place)
    service = start(shop, **settings(place))
    failures: list[Exception] = []
    with callers(service.client, failures) as answered:
        for number in range(1, SWAPS + 1):
            promoted = versions[number % 2]
            place.store.promote(promoted)
            wait_until(lambda wanted=promoted: version(service.client) == wanted, what=f"swap {number}")
            answered.clear()
            wait_until(lambda wanted=promoted: wanted in answered, what=f"an answer after swap {number}")
    assert failures == []
    assert service.metrics()['recommendations_model_loads_total{result="success"}'] == SWAPS + 1


def test_a_store_that_goes_away_costs_no_call_and_is_looked_at_again(
    start: Start, shop: Shop, tmp_path: Path, server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    place = bucket_place(tmp_path, server)
    first, second = publish(shop, place)
    service = start(shop, **settings(place))
    failures: list[Exception] = []
    with callers(service.client, failures) as answered:
        wait_until(lambda: first in answered)
        server.kill()
        wait_until(lambda: "does not answer: connection refused" in caplog.text)
        assert service.metrics()['recommendations_condition{condition="model"}'] == 1
        server.start()
        place.store.promote(second)
        wait_until(lambda: second in answered)
    assert failures == []
    assert caplog.text.count("does not answer") == 1  # said once, not with every look


def test_a_service_that_starts_while_the_store_is_away_becomes_ready_once_it_is_there(
    start: Start, shop: Shop, tmp_path: Path, server: S3Server
) -> None:
    place = bucket_place(tmp_path, server)
    first, _ = publish(shop, place)
    server.kill()
    service = start(shop, **settings(place))
    assert service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=7)).strategy == (
        pb.STRATEGY_DEGRADED
    )
    assert service.metrics()['recommendations_condition{condition="model"}'] == 0
    server.start()
    wait_until(lambda: service.metrics()['recommendations_condition{condition="model"}'] == 1)
    assert version(service.client) == first


def test_a_service_that_starts_while_the_store_is_away_answers_from_its_copy(
    start: Start, shop: Shop, tmp_path: Path, server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    place = bucket_place(tmp_path, server)
    first, second = publish(shop, place)
    place.store.load()
    server.kill()
    service = start(shop, **settings(place))
    assert version(service.client) == first
    assert service.metrics()['recommendations_condition{condition="model"}'] == 1
    assert "does not answer" in caplog.text
    server.start()
    place.store.promote(second)
    wait_until(lambda: version(service.client) == second)


def test_a_store_that_denies_at_the_start_is_a_refused_start(
    start: Start, shop: Shop, tmp_path: Path, s3: S3Server
) -> None:
    wrong = s3.write_credentials(tmp_path / "wrong", secret="not-the-secret")
    place = bucket_place(tmp_path, s3, credentials_file=wrong)
    with pytest.raises(Failure, match=r"refuses the key in .*wrong") as raised:
        start(shop, **settings(place))
    assert "not-the-secret" not in str(raised.value)


def test_a_damaged_version_in_the_bucket_is_reported_and_the_one_before_goes_on_answering(
    start: Start, shop: Shop, tmp_path: Path, s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    place = bucket_place(tmp_path, s3)
    first, second = publish(shop, place)
    service = start(shop, **settings(place))
    weights = place.files / second / "weights.npy"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (place.files / "current").write_text(f"{second}\n{first}\n")
    wait_until(lambda: service.metrics()['recommendations_model_loads_total{result="failure"}'] == 1)
    assert version(service.client) == first
    assert f"{place.name}/{second}/weights.npy: was altered after it was written" in caplog.text


def test_a_service_stops_at_once_though_the_store_hangs(
    shop: Shop, certificates: Certificates, tmp_path: Path, server: S3Server
) -> None:
    place = bucket_place(tmp_path, server)
    publish(shop, place)
    environment = settings_for(shop, certificates, **settings(place)).describe()
    with ServiceProcess(environment, tmp_path) as service:
        service.wait_ready()
        server.pause()
        wait_until(lambda: is_asked(server.port))
        service.signal(signal.SIGTERM)
        assert service.wait_exit() == 0, service.stderr


def is_asked(port: int) -> bool:
    """Tell whether somebody waits for a server that has not read the request yet; from proc(5)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port and int(fields[4].rpartition(":")[2], 16) > 0:
            return True
    return False
