"""The README's commands and settings are those that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest

from service.cli import command
from service.settings import Settings, variable

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SETTINGS = {variable(name) for name in Settings.model_fields}
VERBS = set(re.findall(r"^([a-z][a-z-]*):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def lines_of_blocks() -> list[str]:
    """Return the commands in ```sh blocks, prompts and continuation lines joined."""
    blocks = re.findall(r"^\s*```sh\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    return [
        line.strip().removeprefix("$ ")
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
    ]


def words_after(program: str) -> list[list[str]]:
    # Variables for one command may stand before it.
    pattern = re.compile(rf"^(?:[A-Z_]+=\S+ )*(?:\S*/)?{program}(?: |$)(.*)")
    return [
        shlex.split(found[1], comments=True) for line in lines_of_blocks() if (found := pattern.match(line))
    ]


def test_it_shows_how_to_serve_call_and_test():
    assert {"serve", "call", "test"} <= {word for words in words_after("make") for word in words}


@pytest.mark.parametrize("words", words_after("make"), ids=" ".join)
def test_every_make_verb_exists(words):
    verbs = [word for word in words if "=" not in word and not word.startswith("-")]
    assert set(verbs) <= VERBS


@pytest.mark.parametrize("words", words_after("recommendations"), ids=" ".join)
def test_every_command_exists_and_takes_its_options(words):
    context, current = click.Context(command), command
    while isinstance(current, click.Group):
        found = current.get_command(context, words.pop(0))
        assert found is not None, words
        current = found
    options = {name for parameter in current.params for name in parameter.opts + parameter.secondary_opts}
    assert {word for word in words if word.startswith("-") and word != "-"} <= options | {"--help", "-h"}


def test_every_setting_that_it_names_exists():
    named = set(re.findall(r"RECOMMENDATIONS_[A-Z_]*[A-Z]", README))
    assert named <= SETTINGS | {"RECOMMENDATIONS"}


@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_every_setting_stands_in_the_table_with_its_default(setting):
    row = re.search(rf"^\| *`{setting}` *\|(.*)\|$", README, re.MULTILINE)
    assert row, "is missing in the README"
    default = Settings().describe()[setting]
    assert not default or f"`{default}`" in row[1].replace(",", ""), f"the default is {default}"
