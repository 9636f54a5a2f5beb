"""A promoted model is taken up by every replica within moments, and no call fails over it."""

from pathlib import Path

import pytest

from tests.models.places import bucket_place, directory_place
from tests.models.service_on import Start, callers, condition, loads, publish, settings, version
from tests.s3 import Proxy, S3Server
from tests.tools import wait_until
from tests.world import Shop

SWAPS = 6


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
    seen: set[str] = set()
    with callers(service.client, failures) as answered:
        wait_until(lambda: answered)
        for number in range(1, SWAPS + 1):
            promoted = versions[number % 2]
            place.store.promote(promoted)
            wait_until(lambda wanted=promoted: version(service.client) == wanted, what=f"swap {number}")
            seen |= answered
            answered.clear()
            wait_until(lambda wanted=promoted: wanted in answered, what=f"an answer after swap {number}")
    assert failures == []
    assert seen == set(versions)
    assert loads(service, "success") == SWAPS + 1


def test_replicas_that_share_nothing_but_the_bucket_take_up_what_is_promoted_and_rolled_back(
    start: Start, shop: Shop, tmp_path: Path, s3: S3Server
) -> None:
    place = bucket_place(tmp_path, s3)
    first, second = publish(shop, place)
    replicas = [
        start(**settings(place) | {"models_cache_directory": tmp_path / f"copies-{number}"})
        for number in range(2)
    ]
    assert [version(each.client) for each in replicas] == [first] * 2
    place.store.promote(second)
    wait_until(lambda: [version(each.client) for each in replicas] == [second] * 2)
    place.store.rollback()
    wait_until(lambda: [version(each.client) for each in replicas] == [first] * 2)


def test_a_slow_store_delays_the_swap_and_no_call(
    start: Start, shop: Shop, tmp_path: Path, s3: S3Server
) -> None:
    with Proxy(s3.port) as proxy:
        place = bucket_place(tmp_path, s3, endpoint=proxy.endpoint)
        _, second = publish(shop, place)
        service = start(shop, **settings(place))
        failures: list[Exception] = []
        with callers(service.client, failures) as answered:
            proxy.bytes_per_second = 500_000  # the model is some hundred kilobytes
            place.store.promote(second)
            wait_until(lambda: second in answered, seconds=60)
    assert failures == []
    assert condition(service) == (True, "")
    assert loads(service, "failure") == 0
