"""A service of two workers, on a shop that nobody changes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.workers.supervised import Supervised
from tests.world import settings_for


@pytest.fixture
def settings(shop, certificates) -> dict[str, str]:
    """The environment of a service on a copy of the shop; waits are short."""
    changed = {"host": "0.0.0.0", "drain_seconds": 0.2, "grace_seconds": 5, "model_check_seconds": 0.2}
    described = settings_for(shop, certificates, **changed).describe()
    return {key: value for key, value in described.items() if value}


@pytest.fixture
def start(settings, tmp_path) -> Iterator[Callable[..., Supervised]]:
    """Start a service, without waiting for it; it is gone at the end."""
    with ExitStack() as running:

        def start_one(**changed: str) -> Supervised:
            return running.enter_context(Supervised(settings | changed, tmp_path))

        yield start_one


@pytest.fixture
def supervised(start) -> Supervised:
    """A service that is ready."""
    return start().wait_ready()
