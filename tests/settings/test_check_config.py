"""`recommendations check-config`, as an operator runs it."""

import shutil
from pathlib import Path

import pytest

from service.settings import Settings, variable
from tests.system.processes import assert_fails, run_here

ROLES = Path(__file__).parents[2] / "certs" / "roles.toml"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "certs").mkdir()
    shutil.copy(ROLES, tmp_path / "certs")
    return tmp_path


def test_it_prints_every_setting_without_secrets(folder):
    given = {"RECOMMENDATIONS_PORT": "1234", "RECOMMENDATIONS_OTLP_ENDPOINT": "http://me:secret@collector"}
    result = run_here("check-config", settings=given, cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    shown = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert shown.keys() == {variable(name) for name in Settings.model_fields}
    assert shown["RECOMMENDATIONS_PORT"] == "1234"
    assert shown["RECOMMENDATIONS_OTLP_ENDPOINT"] == "http://***@collector"


def test_it_explains_every_setting(folder):
    result = run_here("check-config", "--all", settings={}, cwd=folder)
    assert result.stdout.count("# ") == len(Settings.model_fields)


def test_it_lists_all_mistakes(folder):
    given = {"RECOMMENDATIONS_PORT": "x", "RECOMMENDATIONS_ADMIN_PORT": "-1", "RECOMMENDATIONS_NOTHING": ""}
    result = run_here("check-config", settings=given, cwd=folder)
    assert_fails(result, 3, "_PORT='x'", "_ADMIN_PORT='-1'", "_NOTHING: is not a setting", lines=3)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("roles", "rule"), [(None, "No such file"), ("x = 1", "unknown key"), ("[", "not TOML")]
)
def test_a_roles_file_that_cannot_be_used_is_a_mistake_too(folder, roles, rule):
    path = folder / "certs" / "roles.toml"
    path.unlink() if roles is None else path.write_text(roles)
    result = run_here("check-config", settings={}, cwd=folder)
    assert_fails(result, 3, "RECOMMENDATIONS_ROLES_FILE", "certs/roles.toml", rule)
