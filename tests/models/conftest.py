"""A place for models of either kind, empty; tests of what both do alike run on both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.models import ModelStore
from tests.models.places import Place, bucket_place, directory_place
from tests.s3 import Proxy, S3Server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A server for all tests of a process, each with buckets of its own; not to be stopped."""
    with S3Server() as server:
        yield server


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of either kind."""
    if request.param == "directory":
        return directory_place(tmp_path)
    return bucket_place(tmp_path, request.getfixturevalue("s3"))


@pytest.fixture
def store(place: Place) -> ModelStore:
    """The store of that place."""
    return place.store


@pytest.fixture
def server() -> Iterator[S3Server]:
    """A server of the test's own, which may be stopped."""
    with S3Server() as server:
        yield server


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[Proxy]:
    """A proxy before the server, which may hinder requests."""
    with Proxy(s3.port) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(tmp_path: Path, s3: S3Server, proxy: Proxy) -> Place:
    """A place that is reached through the proxy; a second is as long as a request may take."""
    return bucket_place(tmp_path, s3, endpoint=proxy.endpoint, request_seconds=1)
