"""README's table of metrics is held against what real servers tell, in both directions."""

import re
from pathlib import Path

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.domain.answers import Strategy
from service.operations.collectors import FIGURES
from tests.observability.load import load_on
from tests.tools import wait_until
from tests.workers.supervised import Supervised
from tests.world import Client, running_app, settings_for

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.split("### Metrics\n")[1].split("\n#")[0]
_ROW = re.compile(r"^\| `([a-z_]+)` \| (\w+) \|([^|]*)\| ([^|]+) \|$", re.MULTILINE)
ROWS = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in _ROW.findall(SECTION)}
# The process's own, from the client library; `process_*` and `python_*` stand for them.
_OF_THE_PROCESS = ("process_", "python_")
pytestmark = pytest.mark.timeout(300)
# Labels whose values are bounded by what the code or the shop names, and how many there may be.
BOUNDS = {
    "strategy": len(Strategy) + 1,  # and similar
    "figure": len(FIGURES),
    "condition": 5,
    "limit": 4,
    "certificate": 2,
    "result": 4,
    "grpc_type": 4,
    "grpc_service": 8,
    "grpc_method": 20,
    "grpc_code": 17,
    "model_version": 7,  # five, none, other
    "type": 10,
    "state": 2,
    "worker": 2,
    "version": 2,  # the program's and the model's
    "method": 1,
    "le": 17,
}


@pytest.fixture(scope="module")
def families(prepared_shop, certificates, tmp_path_factory) -> dict[str, list[Metric]]:
    """The metrics of a service of one process and of one of two workers, each under load, by name."""
    folder = tmp_path_factory.mktemp("metrics")
    pages = []
    with running_app(prepared_shop.copy_to(folder / "one"), certificates) as service:
        with load_on(service.client):
            wait_until(lambda: service.metrics()["recommendations_interactions_recorded_total"] > 2)
        pages.append(service.get("/metrics"))
    settings = settings_for(prepared_shop.copy_to(folder / "two"), certificates).describe()
    with (
        Supervised({key: value for key, value in settings.items() if value}, folder) as supervised,
        supervised.wait_ready().channel(certificates.directory) as channel,
    ):
        Client(channel).recommendations.Recommend(pb.RecommendRequest(reader_id=1), timeout=60)
        pages.append(supervised.get("/metrics")[1])
    found: dict[str, list[Metric]] = {}
    for page in pages:
        for metric in text_string_to_metric_families(page):
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            found.setdefault(name, []).append(metric)
    return found


def test_the_table_names_every_metric_and_none_that_there_is_not(families):
    told = {name for name in families if not name.startswith(_OF_THE_PROCESS)}
    assert told == set(ROWS)
    assert any(name.startswith("process_") for name in families)
    assert any(name.startswith("python_") for name in families)


@pytest.mark.parametrize("name", ROWS)
def test_type_and_labels_are_as_the_table_says(families, name):
    kind, labels = ROWS[name]
    assert any(metric.samples for metric in families[name])
    for metric in families[name]:
        assert metric.type == kind
        assert metric.documentation
        for sample in metric.samples:
            assert set(sample.labels) - {"le"} == labels


def test_every_label_has_a_bound(families):
    values: dict[str, set[str]] = {}
    for name, metrics in families.items():
        for sample in (sample for metric in metrics for sample in metric.samples):
            for label, value in sample.labels.items():
                if not name.startswith("python_"):
                    values.setdefault(label, set()).add(value)
    assert set(values) <= set(BOUNDS)
    assert {label: len(found) for label, found in values.items() if len(found) > BOUNDS[label]} == {}


def test_what_workers_say_alike_is_not_added_up(families):
    one, two = families["recommendations_model_quality"]
    quality = {sample.labels["figure"]: sample.value for sample in one.samples}
    assert quality == {sample.labels["figure"]: sample.value for sample in two.samples}
    assert set(quality) == set(FIGURES)
    assert 0 < quality["popularity_recall@20"] < quality["recall@20"] <= 1
    for name in (
        "recommendations_build_info",
        "recommendations_model_info",
        "recommendations_catalogue_books",
    ):
        one, two = families[name]
        assert one.samples[0].value == two.samples[0].value
