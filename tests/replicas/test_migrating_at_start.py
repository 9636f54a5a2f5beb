"""`MIGRATE_AT_START`: a service makes or brings up its tables where the operator says so, and only there."""

import threading

import pytest

from service.failure import Failure
from tests.world import App, Shop, settings_for


@pytest.fixture
def empty(tmp_path, prepared_shop, certificates, postgres):
    """Settings of a service on an empty database of a server, with trained models."""
    copied = prepared_shop.copy_to(tmp_path / "shop")

    def settings(shop: Shop = copied, **changed):
        url = postgres.url(database)
        return settings_for(
            shop, certificates, database_url=url, database_password_file=postgres.password_file, **changed
        )

    database = postgres.create_database()
    return settings


def test_without_it_a_service_says_what_to_run(empty):
    with pytest.raises(Failure, match="run `recommendations migrate`"), App(empty()):
        pass


def test_replicas_that_start_at_once_make_the_tables_once(empty, tmp_path):
    apps = [App(empty(migrate_at_start=True, mirror_directory=tmp_path / f"mirror-{n}")) for n in range(2)]
    ready: list[bool] = []

    def run(app: App) -> None:
        with app:
            ready.append(app.conditions.describe()["ready"])

    threads = [threading.Thread(target=run, args=(app,)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert ready == [True, True]
