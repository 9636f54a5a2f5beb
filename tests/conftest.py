"""Fixtures of the whole service: a shop and certificates made once, an app to read from, apps to change.

tests.world is imported where it is used: most tests need no service, and it takes seconds to load.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.postgres import postgres as postgres

if TYPE_CHECKING:
    from tests.world import Certificates, RunningApp, Shop

# How long an example takes is the machine's affair.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def prepared_shop(tmp_path_factory) -> "Shop":
    """The sample bookshop with a trained model, not to be written to."""
    from tests.world import Shop

    return Shop.prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> "Certificates":
    """A CA, a server's certificate and two clients', in files."""
    from tests.world import Certificates

    return Certificates(tmp_path_factory.mktemp("certificates") / "dev")


@pytest.fixture(scope="session")
def service(prepared_shop, certificates) -> "Iterator[RunningApp]":
    """The running service for tests that change nothing; its clock stands where the sample's readers end."""
    from service.sample.journal import END_INSTANT
    from tests.world import running_app

    with running_app(prepared_shop, certificates, now=lambda: END_INSTANT) as running:
        yield running


@pytest.fixture
def shop(prepared_shop, tmp_path) -> "Shop":
    """A shop of the test's own."""
    return prepared_shop.copy_to(tmp_path / "shop")


@pytest.fixture
def start(prepared_shop, certificates, tmp_path) -> "Iterator[Callable[..., RunningApp]]":
    """Start a service of the test's own, on a copy of the shop unless one is given; it ends with the test."""
    from tests.world import running_app

    numbers = itertools.count(1)
    with ExitStack() as running:

        def start_one(shop: "Shop | None" = None, **options: Any) -> "RunningApp":
            shop = shop or prepared_shop.copy_to(tmp_path / f"shop-{next(numbers)}")
            return running.enter_context(running_app(shop, certificates, **options))

        yield start_one
