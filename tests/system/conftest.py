"""One bookshop made once for all workers; each test takes a copy, or shares a service that it only asks."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.system.processes import ServiceProcess
from tests.system.shop import Shop


@pytest.fixture(scope="session")
def prepared_shop(tmp_path_factory, worker_id) -> Shop:
    """The sample bookshop as `make serve` sets it up; nobody changes it."""
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent
    directory = base / "prepared-shop"
    # The workers of a run share one base folder: the first makes the shop, the others wait for it.
    with (base / "prepared-shop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            made = Shop(base / "shop-in-the-making")
            made.prepare()
            made.directory.rename(directory)
    return Shop(directory)


@pytest.fixture
def shop(prepared_shop, tmp_path) -> Shop:
    """A bookshop of the test's own."""
    return prepared_shop.copy_to(tmp_path / "shop")


@pytest.fixture
def serve() -> Iterator[Callable[..., ServiceProcess]]:
    """Start the service on a shop, without waiting for it; it is gone at the end."""
    with ExitStack() as running:

        def start(shop: Shop, **settings: str) -> ServiceProcess:
            return running.enter_context(ServiceProcess(shop.settings | settings, shop.directory))

        yield start


@pytest.fixture(scope="session")
def shared_service(prepared_shop, tmp_path_factory) -> Iterator[tuple[ServiceProcess, Shop]]:
    """A running service that many tests share; they ask it, and change nothing."""
    shop = prepared_shop.copy_to(tmp_path_factory.mktemp("shared") / "shop")
    settings = shop.settings | {"RECOMMENDATIONS_PLAINTEXT_PORT": "0"}
    with ServiceProcess(settings, shop.directory) as service:
        yield service.wait_ready(), shop


@pytest.fixture
def empty_folder(tmp_path) -> Path:
    """A folder with nothing in it."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder
