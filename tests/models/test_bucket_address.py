"""Where a bucket is: missing, misnamed, shared by several shops."""

from pathlib import Path
from typing import Any

import pytest

from service.models import ModelStore, NoModel
from tests.models.places import Place, bucket_place, refusal, save
from tests.s3 import S3Server


@pytest.fixture
def place(tmp_path: Path, s3: S3Server) -> Place:
    return bucket_place(tmp_path, s3)


def test_a_bucket_that_is_missing_is_named(place: Place, s3: S3Server) -> None:
    store = ModelStore.open("s3://no-such-books/shop", **place.options)
    for action in (
        store.current_version,
        store.load,
        store.list,
        lambda: save(store),
        lambda: store.prune(1),
    ):
        message = refusal(action)
        assert message.startswith("s3://no-such-books/shop")
        assert message.endswith(f"{s3.endpoint} has no bucket no-such-books")


def test_another_region_is_refused(place: Place) -> None:
    store = ModelStore.open(place.name, **place.options, region="eu-north-1")
    assert "refuses the request (400 AuthorizationHeaderMalformed)" in refusal(store.current_version)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"url": "s3://"}, "is not s3://bucket/prefix"),
        ({"url": "gs://books"}, "is not s3://bucket/prefix"),
        ({"url": "s3://Books/shop"}, "is not s3://bucket/prefix"),
        ({"url": "s3://books/shop?x=1"}, "is not s3://bucket/prefix"),
        ({"endpoint": "bananas"}, "is not http://host:port or https://host:port"),
        ({"endpoint": "http://key:secret@store"}, "is not http://host:port or https://host:port"),
        ({"endpoint": "ftp://store"}, "is not http://host:port or https://host:port"),
        ({"region": "north\n"}, "is not a region"),
    ],
)
def test_addresses_that_are_none_are_refused(place: Place, changed: dict[str, Any], rule: str) -> None:
    options = {"url": place.name} | place.options | changed
    assert rule in refusal(lambda: ModelStore.open(**options))


def test_stores_under_two_prefixes_of_a_bucket_know_nothing_of_each_other(place: Place) -> None:
    one, other = place.store, ModelStore.open(f"{place.name}/deeper/", **place.options)
    first = save(one)
    one.promote(first)
    assert other.list() == []
    refusal(other.current_version, NoModel)
    second = save(other, 1)
    other.promote(second)
    assert (one.current_version(), other.current_version()) == (first, second)
    assert [each.version for each in one.list()] == [first]
    assert (one.load().version, other.load().version) == (first, second)
    whole_bucket = ModelStore.open(place.name.rpartition("/shops")[0], **place.options)
    assert whole_bucket.list() == []
