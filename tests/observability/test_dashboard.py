"""A real Prometheus that scrapes the real service under load has data for every query of the dashboard."""

import json
import re
from contextlib import suppress

import pytest

from tests.observability.dashboard import queries
from tests.observability.load import load_on
from tests.observability.prometheus import Prometheus
from tests.observability.rules import ALERTS, MONITORING, RULES
from tests.tools import wait_until

# Scrapes are a second apart here. Other tests share the machine, so there is room for some that fail.
RATE_INTERVAL = "30s"
QUERIES = queries(rate_interval=RATE_INTERVAL)
# Where nothing but zeros would mean that the load is not seen.
LIVELY = {"Calls", "Calls by code", "Answer time", "Answers by strategy", "Taken up, by strategy"} | {
    "Quality of the model", "Books", "Readers", "Write time", "Batches a transaction", "Memory",
}  # fmt: skip
PATIENCE_SECONDS = 150
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def seen(prepared_shop, certificates, tmp_path_factory):
    """What Prometheus finds for each query, which alerts are on their way, and which rules there are."""
    from tests.world import running_app

    folder = tmp_path_factory.mktemp("dashboard")
    found: dict[str, list[float]] = {}

    def are_all_found() -> bool:
        found.update({query: prometheus.query(query) for _, query in QUERIES})
        return all(found.values()) and all(any(found[query]) for panel, query in QUERIES if panel in LIVELY)

    with (
        running_app(prepared_shop.copy_to(folder / "shop"), certificates) as service,
        Prometheus(folder / "prometheus", [service.app.admin_port]) as prometheus,
        load_on(service.client),
    ):
        with suppress(AssertionError):  # each query's own test says that it found nothing
            wait_until(are_all_found, PATIENCE_SECONDS)
        return found, prometheus.alerts(), prometheus.rules()


@pytest.mark.parametrize(("panel", "query"), QUERIES)
def test_no_panel_is_empty(seen, panel, query):
    found, _, _ = seen
    assert found[query]
    assert panel not in LIVELY or any(found[query])


def test_a_sound_service_gives_no_cause_for_an_alert(seen):
    _, alerts, rules = seen
    assert rules >= set(ALERTS)
    # How late answers are is the machine's concern here, which other tests use too.
    assert {alert for alert in alerts if "AnswersLate" not in alert} == set()


def test_every_panel_says_what_it_shows_and_has_a_place_of_its_own():
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    assert {panel["title"] for panel in panels} >= LIVELY
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        assert panel["type"] == "row" or (panel["description"] and panel["targets"])
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_what_rules_record_is_shown_or_alerted_on():
    read = " ".join([*(query for _, query in QUERIES), *(rule["expr"] for rule in ALERTS.values())])
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    assert recorded == set(re.findall(r"recommendations:\w+:\w+", read))
