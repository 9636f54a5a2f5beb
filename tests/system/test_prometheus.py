"""A real Prometheus scrapes the service, and its linter has nothing against the metrics."""

import json
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1 import recommendation_service_pb2_grpc as stubs

from tests.system.processes import PATIENCE_SECONDS, wait_until
from tests.tools import require_tool

CALLS = 7
CONFIGURATION = """\
global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
  - job_name: recommendations
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture
def prometheus(shared_service, tmp_path):
    """Run Prometheus on the service; returns a function that queries it."""
    service, _ = shared_service
    (tmp_path / "prometheus.yml").write_text(CONFIGURATION.format(port=service.admin_port))
    with socket.create_server(("127.0.0.1", 0)) as chooser:
        port = chooser.getsockname()[1]
    command = [
        require_tool("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def query(expression: str) -> list[float]:
        parameters = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/api/v1/query?{parameters}", timeout=10
            ) as answer:
                return [float(found["value"][1]) for found in json.load(answer)["data"]["result"]]
        except OSError:
            return []  # not up yet

    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield query
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def recommend(service, shop, times: int) -> None:
    with service.channel(shop.certificates) as channel:
        for reader_id in range(1, times + 1):
            stubs.RecommendationServiceStub(channel).Recommend(
                pb.RecommendRequest(reader_id=reader_id), timeout=10
            )


def test_prometheus_counts_the_calls(shared_service, prometheus):
    handled = (
        'grpc_server_handled_total{grpc_code="OK",grpc_method="Recommend",'
        'grpc_service="onlinebooks.recommendations.v1.RecommendationService",grpc_type="unary"}'
    )
    wait_until(lambda: prometheus("up") == [1.0], "the scrape")
    (before,) = prometheus(handled)  # there from the start, whatever was called
    recommend(*shared_service, CALLS)
    wait_until(lambda: prometheus(handled) == [before + CALLS], "the count")
    assert prometheus('grpc_server_handling_seconds_bucket{grpc_method="Recommend",le="+Inf"} > 0')
    assert prometheus("recommendations_condition") == [1.0] * 5
    assert prometheus("recommendations_catalogue_books") == [729.0]


def test_the_linter_has_no_complaint(shared_service):
    service, shop = shared_service
    recommend(service, shop, 1)
    code, page = service.get("/metrics")
    assert code == 200
    checked = subprocess.run(
        [require_tool("promtool"), "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_no_label_grows_with_what_clients_send(shared_service):
    service, shop = shared_service
    with service.channel(shop.certificates) as channel:
        for number in range(20):
            channel.unary_unary(f"/Nobody{number}/Serves").future(b"", timeout=10).exception()
    _, page = service.get("/metrics")
    assert "Nobody" not in page
    assert 'grpc_server_handled_total{grpc_code="Unimplemented",grpc_method="unknown"' in page
