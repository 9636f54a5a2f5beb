"""/livez, /readyz and /metrics over real HTTP."""

import http.client
import json
import logging
import socket
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry, Counter

from service.operations.admin import MAX_CONNECTIONS, AdminError, AdminServer
from service.operations.conditions import Conditions
from tests.operations.conftest import wait_until


@pytest.fixture
def conditions() -> Conditions:
    return Conditions(["catalogue", "model"], registry=CollectorRegistry())


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("books", "Books.", registry=registry).inc(3)
    return registry


@pytest.fixture
def admin(conditions, registry):
    with AdminServer("127.0.0.1", 0, conditions, registry) as admin:
        yield admin


def fetch(admin, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", admin.port, timeout=10)
    try:
        connection.request(
            method, path, headers={key.replace("_", "-"): value for key, value in headers.items()}
        )
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_live_whatever_the_conditions(admin):
    response, body = fetch(admin, "/livez")
    assert (response.status, body) == (200, b"ok\n")


def test_not_ready_until_all_conditions_hold(admin, conditions):
    conditions.set("catalogue", True)
    conditions.set("model", False, "no snapshot")
    response, body = fetch(admin, "/readyz")
    assert response.status == 503
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "ready": False,
        "conditions": {
            "catalogue": {"value": True, "reason": ""},
            "model": {"value": False, "reason": "no snapshot"},
        },
    }
    conditions.set("model", True)
    response, body = fetch(admin, "/readyz?verbose")
    assert response.status == 200
    assert json.loads(body)["ready"] is True


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", b"books_total 3.0\n"),
        (
            "application/openmetrics-text; version=1.0.0,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0",
            b"# EOF\n",
        ),
    ],
)
def test_metrics_in_the_format_that_is_asked_for(admin, accept, content_type, end):
    response, body = fetch(admin, "/metrics", Accept=accept)
    assert response.status == 200
    assert response.headers["Content-Type"].startswith(content_type)
    assert b"books_total 3.0" in body
    assert end in body


@pytest.mark.parametrize(
    ("path", "status"), [("/livez", 200), ("/readyz", 503), ("/metrics", 200), ("/", 404)]
)
def test_head_is_get_without_its_body(admin, path, status):
    response, body = fetch(admin, path, "HEAD")
    assert (response.status, body) == (status, b"")
    assert int(response.headers["Content-Length"]) == len(fetch(admin, path)[1])


@pytest.mark.parametrize("path", ["/", "/livez/", "/metricsx", "/%6civez"])
def test_unknown_path_is_not_found(admin, path):
    assert fetch(admin, path)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_not_allowed(admin, method):
    response, _ = fetch(admin, "/livez", method)
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/livez", "/nothing"])
def test_neither_software_nor_version_is_told(admin, path):
    response, body = fetch(admin, path)
    assert "Server" not in response.headers
    assert b"python" not in body.lower()


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET " + b"x" * 70000,
    ],
)
def test_what_is_not_http_gets_a_short_answer_and_no_echo(admin, sent, capfd):
    with socket.create_connection(("127.0.0.1", admin.port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass  # it closed before reading all
    assert b"hello" not in answer
    assert b"xxxx" not in answer
    assert fetch(admin, "/livez")[0].status == 200
    assert capfd.readouterr() == ("", "")


def test_idle_connections_do_not_block_probes(admin):
    with ExitStack() as idle:
        for _ in range(3 * MAX_CONNECTIONS):
            idle.enter_context(socket.create_connection(("127.0.0.1", admin.port), timeout=10))
        for _ in range(3):
            assert fetch(admin, "/livez")[0].status == 200


def test_connection_that_sends_nothing_is_dropped(conditions, registry):
    with (
        AdminServer("127.0.0.1", 0, conditions, registry, connection_seconds=0.1) as admin,
        socket.create_connection(("127.0.0.1", admin.port), timeout=30) as connection,
    ):
        assert connection.recv(1) == b""


def test_connection_that_drips_is_dropped(conditions, registry):
    def was_dropped(connection: socket.socket) -> bool:
        try:
            connection.sendall(b"X")
            return connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    with (
        AdminServer("127.0.0.1", 0, conditions, registry, connection_seconds=0.5) as admin,
        socket.create_connection(("127.0.0.1", admin.port), timeout=0.1) as connection,
    ):
        wait_until(lambda: was_dropped(connection))


def test_collector_that_fails_is_an_internal_error(admin, registry, caplog):
    class Broken:
        def collect(self):
            raise RuntimeError("secret")

        def describe(self):
            return []

    registry.register(Broken())
    with caplog.at_level(logging.ERROR, "recommendations.admin"):
        response, body = fetch(admin, "/metrics")
    assert (response.status, body) == (500, b"internal error\n")
    assert "secret" in caplog.text


def test_taken_port_is_named_with_its_setting(admin, conditions, registry):
    with pytest.raises(AdminError) as error, AdminServer("127.0.0.1", admin.port, conditions, registry):
        pass
    assert str(error.value) == (
        f"RECOMMENDATIONS_ADMIN_PORT: {admin.port}: cannot listen on 127.0.0.1: Address already in use"
    )


def test_port_is_free_again_after_the_end(conditions, registry):
    with AdminServer("127.0.0.1", 0, conditions, registry) as admin:
        port = admin.port
        assert fetch(admin, "/livez")[0].status == 200
    with AdminServer("127.0.0.1", port, conditions, registry) as admin:
        assert fetch(admin, "/livez")[0].status == 200


def test_version_6_addresses(conditions, registry):
    with AdminServer("::1", 0, conditions, registry) as admin:
        connection = http.client.HTTPConnection("::1", admin.port, timeout=10)
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
        connection.close()
