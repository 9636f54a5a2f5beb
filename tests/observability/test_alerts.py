"""Every alert fires when it should and not when it should not, and the runbook has a section for it."""

import re
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from interceptors.metrics import BUCKETS_SECONDS
from service.cli import command
from tests.k8s.rendering import OPTIONAL, Manifests, of_kind, pod_templates
from tests.observability.rules import ALERTS, RULES, write_rules
from tests.tools import require_tool

K8S = Path(__file__).parents[2] / "k8s"
RUNBOOK = (K8S / "runbook.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", RUNBOOK, re.DOTALL) for line in block.splitlines()
]
CASES = yaml.safe_load((Path(__file__).parent / "alerts.yaml").read_text())
SECONDS_A_DAY = 86_400


def promtool(*arguments: object) -> str:
    ended = subprocess.run(
        [require_tool("promtool"), *map(str, arguments)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    output = ended.stdout + ended.stderr
    assert ended.returncode == 0, output
    return output


def expectation(case: dict) -> dict:
    rule = ALERTS[case["alert"]]
    return {
        "eval_time": case["at"],
        "alertname": case["alert"],
        "exp_alerts": [
            {"exp_labels": rule["labels"] | labels, "exp_annotations": rule["annotations"]}
            for labels in case.get("fires", [])
        ],
    }


def test_rules_are_in_order(tmp_path):
    output = promtool("check", "rules", write_rules(tmp_path / "rules.yaml"))
    assert f"SUCCESS: {len(RULES)} rules found" in output


@pytest.mark.parametrize("each", CASES, ids=lambda each: each["name"])
def test_alerts_fire_when_they_should_and_not_when_they_should_not(each, tmp_path):
    interval = each.get("interval", "1m")
    test = {
        "interval": interval,
        "input_series": each["series"],
        "alert_rule_test": [expectation(case) for case in each["cases"]],
    }
    file = tmp_path / "tests.yaml"
    rules = write_rules(tmp_path / "rules.yaml")
    file.write_text(
        yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": interval, "tests": [test]})
    )
    assert "SUCCESS" in promtool("test", "rules", file)


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_is_tried_both_ways(name):
    tried = [bool(case.get("fires")) for each in CASES for case in each["cases"] if case["alert"] == name]
    assert set(tried) == {True, False}


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_what_is_wrong_and_where_to_read_on(name):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert all(text[-1] == "." for key, text in rule["annotations"].items() if key != "runbook_url")
    page, _, section = rule["annotations"]["runbook_url"].partition("#")
    assert page.endswith("/k8s/runbook.md")
    assert section == name.lower()


def test_each_alert_has_its_section_and_each_section_its_alert():
    assert list(SECTIONS) == list(ALERTS)


@pytest.mark.parametrize("name", SECTIONS)
def test_each_section_tells_symptom_meaning_and_the_first_three_commands(name):
    section = SECTIONS[name]
    assert re.search(r"^\*\*Symptom\.\*\* ", section, re.MULTILINE)
    assert re.search(r"^\*\*Meaning\.\*\* ", section, re.MULTILINE)
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(block.replace("\\\n", "").strip().splitlines()) == 3


def test_commands_of_the_runbook_name_what_is_deployed(tmp_path):
    objects = Manifests(tmp_path).render("prod", OPTIONAL["prod"])
    deployed = {(each["kind"].lower(), each["metadata"]["name"]) for each in objects}
    deployed |= {("secret", each["spec"]["secretName"]) for each in of_kind(objects, "Certificate")}
    named = set(re.findall(r"\b([a-z]+)[/ ](recommendations[\w-]*)", " ".join(COMMANDS)))
    named = {(kind, name) for kind, name in named if kind in {each for each, _ in deployed}}
    assert len(named) >= 4
    assert named <= deployed
    components = {
        template["metadata"]["labels"].get("app.kubernetes.io/component")
        for _, template in pod_templates(objects)
    }
    assert set(re.findall(r"app.kubernetes.io/component=(\w+)", RUNBOOK)) <= components


def test_commands_of_the_service_exist():
    ran = re.findall(r"-- recommendations ([a-z -]+)", "\n".join(COMMANDS))
    assert ran
    for words in ran:
        found: click.Command = command
        for word in words.split():
            assert isinstance(found, click.Group)
            found = found.get_command(click.Context(found), word)
        assert not isinstance(found, click.Group)


def test_slowness_is_counted_at_a_bucket_that_there_is():
    bounds = {bound for rule in RULES for bound in re.findall(r'le="([^"]+)"', rule["expr"])}
    assert bounds
    assert {float(bound) for bound in bounds} <= set(BUCKETS_SECONDS)


def test_a_certificate_is_renewed_before_anybody_is_told_that_it_was_not():
    certificate = yaml.safe_load((K8S / "components/cert-manager/server-certificate.yaml").read_text())
    hours = int(certificate["spec"]["renewBefore"].removesuffix("h"))
    assert hours * 3600 > 7 * SECONDS_A_DAY
