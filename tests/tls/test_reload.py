"""New files under a server that runs."""

import datetime
import logging

import grpc
import pytest
from prometheus_client import CollectorRegistry

from service.security.authority import Authority, utc_now
from service.security.tls import ServerCredentials
from tests.tls.conftest import wait_until, write_pair

OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
DAY = datetime.timedelta(days=1)


def test_new_pair_serves_the_next_handshake(serve, files, authority, client):
    server = serve(files)
    assert server.call(authority.pair.certificate, client) is OK
    other = Authority.create("other")
    ends = (utc_now() + 10 * DAY).replace(microsecond=0)
    write_pair(files, other.issue("server", hosts=["localhost"], server=True, not_after=ends))
    wait_until(lambda: server.reloads("success") == 1)
    assert server.call(other.pair.certificate, client) is OK
    assert server.call(authority.pair.certificate, client) is UNAVAILABLE
    assert server.metric("certificate_expiry_timestamp_seconds", certificate="server") == ends.timestamp()
    assert server.reloads("failure") == 0


def test_new_client_authorities_apply_to_the_next_handshake(serve, files, authority, client):
    server = serve(files)
    other = Authority.create("other")
    newcomer = other.issue("client")
    assert server.call(authority.pair.certificate, newcomer) is UNAVAILABLE
    (files / "ca.crt").write_bytes(authority.pair.certificate + other.pair.certificate)
    wait_until(lambda: server.reloads("success") == 1)
    assert server.call(authority.pair.certificate, newcomer) is OK
    assert server.call(authority.pair.certificate, client) is OK
    (files / "ca.crt").write_bytes(other.pair.certificate)
    wait_until(lambda: server.reloads("success") == 2)
    assert server.call(authority.pair.certificate, client) is UNAVAILABLE


def test_connection_made_before_a_reload_lives_on(serve, files, authority, client):
    server = serve(files)
    credentials = grpc.ssl_channel_credentials(authority.pair.certificate, client.key, client.certificate)
    with grpc.secure_channel(f"localhost:{server.port}", credentials) as channel:
        say = channel.unary_unary("/Echo/Say")
        assert say(b"before", timeout=10) == b"before"
        write_pair(files, Authority.create("other").issue("server", hosts=["localhost"], server=True))
        wait_until(lambda: server.reloads("success") == 1)
        assert say(b"after", timeout=10) == b"after"


def garbage(authority):
    return b"not a certificate", b"not a key"


def key_of_another(authority):
    one, other = (authority.issue("server", hosts=["localhost"], server=True) for _ in range(2))
    return one.certificate, other.key


def expired(authority):
    pair = authority.issue("server", hosts=["localhost"], server=True, not_after=utc_now() - DAY)
    return pair.certificate, pair.key


def for_clients(authority):
    pair = authority.issue("server", hosts=["localhost"])
    return pair.certificate, pair.key


def empty(authority):
    return b"", b""


@pytest.mark.parametrize("broken", [garbage, key_of_another, expired, for_clients, empty])
def test_broken_new_pair_keeps_the_old_and_is_counted_once(serve, files, authority, client, broken, caplog):
    server = serve(files)
    certificate, key = broken(authority)
    with caplog.at_level(logging.INFO, "recommendations.tls"):
        (files / "server.crt").write_bytes(certificate)
        (files / "server.key").write_bytes(key)
        wait_until(lambda: server.reloads("failure") >= 1)
        assert server.call(authority.pair.certificate, client) is OK
        assert "server." in caplog.text
        assert "PRIVATE KEY" not in caplog.text
    # The next good pair is taken up after all, and the broken one was looked at many times by then.
    write_pair(files, authority.issue("server", hosts=["localhost"], server=True))
    wait_until(lambda: server.reloads("success") == 1)
    assert server.reloads("failure") <= 2  # a write of two files may be seen between the two


def test_empty_client_authorities_keep_the_old(serve, files, authority, client):
    server = serve(files)
    (files / "ca.crt").write_bytes(b"")
    wait_until(lambda: server.reloads("failure") == 1)
    assert server.call(authority.pair.certificate, client) is OK
    assert server.call(authority.pair.certificate) is UNAVAILABLE


def test_pair_read_between_its_two_writes_waits_for_the_second(serve, files, authority, client):
    server = serve(files)
    fresh = Authority.create("other").issue("server", hosts=["localhost"], server=True)
    (files / "server.crt").write_bytes(fresh.certificate)
    wait_until(lambda: server.reloads("failure") == 1)  # looked at while torn, and not served
    assert server.call(authority.pair.certificate, client) is OK
    (files / "server.key").write_bytes(fresh.key)
    wait_until(lambda: server.reloads("success") == 1)


def test_files_that_vanish_keep_the_old(serve, files, authority, client):
    server = serve(files)
    content = (files / "server.key").read_bytes()
    (files / "server.key").unlink()
    wait_until(lambda: server.reloads("failure") == 1)
    assert server.call(authority.pair.certificate, client) is OK
    (files / "server.key").write_bytes(content)
    assert server.call(authority.pair.certificate, client) is OK
    assert server.reloads("success") == 0


def test_kubernetes_swap_of_the_data_link_is_taken_up(serve, tmp_path, authority, client):
    def publish(version: str, signer: Authority) -> None:
        data = tmp_path / f"..{version}"
        data.mkdir()
        write_pair(data, signer.issue("server", hosts=["localhost"], server=True))
        (data / "ca.crt").write_bytes(authority.pair.certificate)
        (tmp_path / "..data_tmp").symlink_to(data.name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    publish("2026_01", authority)
    for name in ("server.crt", "server.key", "ca.crt"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    server = serve(tmp_path)
    assert server.call(authority.pair.certificate, client) is OK
    other = Authority.create("other")
    publish("2026_02", other)
    wait_until(lambda: server.reloads("success") == 1)
    assert server.call(other.pair.certificate, client) is OK
    assert server.reloads("failure") == 0


def test_touched_files_are_not_a_reload(serve, files, authority, client):
    server = serve(files)
    (files / "server.crt").write_bytes((files / "server.crt").read_bytes())
    (files / "server.key").touch()
    # A real change afterwards shows that the thread has looked meanwhile.
    (files / "ca.crt").write_bytes(authority.pair.certificate * 2)
    wait_until(lambda: server.reloads("success") == 1)
    assert server.reloads("failure") == 0


def test_thread_stops_promptly_with_a_long_pause(files):
    paths = files / "server.crt", files / "server.key", files / "ca.crt"
    with ServerCredentials(*paths, reload_seconds=3600, registry=CollectorRegistry()) as credentials:
        thread = credentials._thread
    assert not thread.is_alive()
