"""Help is everywhere and complete, and misuse is told in one line."""

import inspect

import click
import pytest
from click.testing import CliRunner

from service.cli import command
from tests.system.processes import assert_fails, run, run_here
from tests.system.shop import REPOSITORY


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    context, found = click.Context(group), [(path, group)]
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        found += commands(each, (*path, name)) if isinstance(each, click.Group) else [((*path, name), each)]
    return found


COMMANDS = commands(command)


def test_the_commands_are_those_of_the_architecture():
    names = {path[0] for path, _ in COMMANDS if path}
    assert {
        "serve",
        "call",
        "import",
        "train",
        "evaluate",
        "models",
        "certs",
        "migrate",
        "check-config",
    } <= names
    below = {path[1] for path, _ in COMMANDS if path[:1] == ("models",) and len(path) == 2}
    assert below == {"list", "show", "promote", "rollback", "prune"}


@pytest.mark.parametrize(("path", "each"), COMMANDS, ids=[" ".join(path) or "-" for path, _ in COMMANDS])
def test_help_explains_every_option(path, each):
    result = CliRunner().invoke(command, [*path, "--help"], prog_name="recommendations")
    assert result.exit_code == 0
    assert inspect.cleandoc(each.help).split("\n")[0].split(" ")[0] in result.output
    for parameter in each.params:
        if isinstance(parameter, click.Option):
            assert (parameter.opts[0] in result.output) is not parameter.hidden
            assert parameter.help, parameter.name
        else:
            assert parameter.make_metavar(click.Context(each)).strip("[]") in (each.help or ""), (
                parameter.name
            )


def test_the_module_is_the_command():
    """`python -m service` and the installed `recommendations` are the same program."""
    from importlib.metadata import entry_points

    import service.__main__

    (script,) = entry_points(group="console_scripts", name="recommendations")
    assert script.load() is service.__main__.main
    result = run("--help", settings={}, cwd=REPOSITORY)
    assert result.stdout.startswith("Usage: recommendations ")
    version = run("--version", settings={}, cwd=REPOSITORY)
    assert (version.returncode, version.stdout) == (0, "0.1.0\n")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["frobnicate"], "No such command 'frobnicate'; see `recommendations --help`"),
        (["train", "--faster"], "No such option '--faster'; see `recommendations train --help`"),
        (["models", "prune", "--keep", "0"], "--keep"),
        (["import", "books"], "FILE"),
        (["certs", "--days", "soon"], "soon"),
    ],
)
def test_misuse_is_told_in_one_line(arguments, part, empty_folder):
    assert_fails(run_here(*arguments, settings={}, cwd=empty_folder), 2, part)


@pytest.mark.parametrize("arguments", [[], ["import"], ["models"]])
def test_a_command_that_needs_another_shows_its_help(arguments, empty_folder):
    result = run_here(*arguments, settings={}, cwd=empty_folder)
    assert result.returncode == 2
    assert "Commands:" in result.stderr
