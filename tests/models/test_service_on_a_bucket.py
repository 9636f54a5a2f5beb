"""The running service when its bucket goes away, hangs, denies, or offers something broken."""

import signal
from pathlib import Path

import pytest

from tests.models.places import bucket_place, flip_a_bit
from tests.models.service_on import Start, callers, condition, loads, publish, settings, version
from tests.s3 import S3Server
from tests.system.processes import ServiceProcess
from tests.tools import wait_until
from tests.world import Certificates, Shop, settings_for


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
        ready, reason = condition(service)
        assert ready
        assert reason.endswith(f"still answering from {first}")
        server.start()
        place.store.promote(second)
        wait_until(lambda: second in answered)
    assert failures == []
    assert condition(service) == (True, "")
    assert caplog.text.count("does not answer: connection refused") == 1  # said once, not with every look


def test_a_store_that_begins_to_deny_costs_no_call_and_a_new_key_is_taken_up(
    start: Start, shop: Shop, tmp_path: Path, server: S3Server
) -> None:
    place = bucket_place(tmp_path, server)
    first, second = publish(shop, place)
    service = start(shop, **settings(place))
    server.kill()
    server.secret = "another-secret"
    server.start()
    failures: list[Exception] = []
    with callers(service.client, failures) as answered:
        wait_until(lambda: "refuses the key in" in condition(service)[1])
        assert (condition(service)[0], version(service.client)) == (True, first)
        server.write_credentials(server.credentials_file)
        place.store.promote(second)
        wait_until(lambda: second in answered)
    assert failures == []
    assert condition(service) == (True, "")


def test_a_damaged_version_in_the_bucket_is_reported_and_the_one_before_goes_on_answering(
    start: Start, shop: Shop, tmp_path: Path, s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    place = bucket_place(tmp_path, s3)
    first, second = publish(shop, place)
    service = start(shop, **settings(place))
    flip_a_bit(place.files / second / "weights.npy")
    place.point(f"{second}\n{first}\n")
    wait_until(lambda: loads(service, "failure") == 1)
    assert version(service.client) == first
    assert f"{place.name}/{second}/weights.npy: was altered after it was written" in caplog.text


@pytest.mark.parametrize("content", ["", "latest\n", "20200101-000000-00000000\n"])
def test_a_pointer_that_names_nothing_is_reported_and_the_model_in_use_goes_on_answering(
    start: Start, shop: Shop, tmp_path: Path, s3: S3Server, content: str
) -> None:
    place = bucket_place(tmp_path, s3)
    first, second = publish(shop, place)
    service = start(shop, **settings(place))
    place.point(content)
    wait_until(lambda: f"{place.name}/current: " in condition(service)[1])
    assert (condition(service)[0], version(service.client)) == (True, first)
    place.store.promote(second)
    wait_until(lambda: version(service.client) == second)


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
