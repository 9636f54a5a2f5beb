"""The README's commands for a laptop work in a fresh clone, where nothing has been made yet."""

import re
import shlex
import subprocess

from tests.k8s.rendering import REPOSITORY

README = (REPOSITORY / "k8s" / "README.md").read_text()
VERBS = re.findall(r"^([a-z][a-z0-9-]*):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
SECTION = README.partition("## A laptop's cluster\n")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)[0].splitlines()


def test_there_are_two_and_they_name_what_there_is():
    made, applied = COMMANDS
    verbs = shlex.split(made.partition("&&")[0])
    assert verbs[0] == "make"
    assert {"image", "cluster-certs"} <= set(verbs[1:]) <= set(VERBS)
    assert shlex.split(applied) == ["kubectl", "apply", "--server-side", "-k", "k8s/overlays/dev"]


def test_they_run_nothing_that_an_earlier_command_would_have_made():
    assert ".venv" not in "".join(COMMANDS)


def test_the_verb_makes_the_environment_first_and_the_certificates_where_the_overlay_looks():
    rules = subprocess.run(
        ["make", "--print-data-base", "--dry-run", "help"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    made = "k8s/overlays/dev/certs/ca.crt"
    assert re.search(rf"^cluster-certs: {re.escape(made)}$", rules, re.MULTILINE)
    assert re.search(rf"^{re.escape(made)}:.*\| \.venv/\.ready$", rules, re.MULTILINE)
