"""A scene of the test's own."""

from collections.abc import Iterator

import pytest

from tests.drills.scene import Scene


@pytest.fixture
def scene(prepared_shop, certificates, tmp_path) -> Iterator[Scene]:
    """A PostgreSQL server with the sample shop; no service runs yet."""
    with Scene(tmp_path, prepared_shop, certificates) as entered:
        yield entered
