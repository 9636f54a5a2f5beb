"""The verbs of the Makefile."""

import re
import subprocess

from tests.system.shop import REPOSITORY


def test_help_lists_every_verb():
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    phony = re.search(r"^\.PHONY:(.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert re.findall(r"^  make (\S+) +\S", listed, re.MULTILINE) == phony
    assert {"help", "serve", "call", "test", "check", "bench", "proto"} <= set(phony)
