"""The locks pin what pyproject.toml asks for, by hash, and name no place to fetch it from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# name==version ; marker \  followed by indented hashes
_ENTRY = re.compile(
    r"^(?P<name>[a-z0-9.-]+)==(?P<version>[^ ;\\]+)(?P<rest>[^\n]*(?:\n[ ]+--hash=[^\n]*)*)", re.MULTILINE
)
# More than one version of a package where markers choose between them.
ENTRIES = list(_ENTRY.finditer(LOCK))


def normalized(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", requirement)[0]).lower()


def test_every_line_is_an_entry_a_hash_or_a_comment():
    strange = [
        line
        for line in LOCK.splitlines()
        if line.strip() and not re.match(r"[a-z0-9.-]+==|    --hash=sha256:[0-9a-f]{64}( \\)?$|\s*#", line)
    ]
    assert strange == []
    assert len(ENTRIES) == sum(not line.startswith((" ", "#")) and bool(line) for line in LOCK.splitlines())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['name']}-{entry['version']}")
def test_every_entry_has_hashes(entry):
    assert "--hash=sha256:" in entry["rest"]


def test_it_names_no_place():
    assert not re.search(r"https?:|--(extra-)?index|--find-links| @ ", LOCK)


@pytest.mark.parametrize(
    "requirement", PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]
)
def test_what_the_project_asks_for_is_locked(requirement):
    rule, version = re.search(r"(==|>=)(.+)$", requirement).groups()
    locked = [entry["version"] for entry in ENTRIES if entry["name"] == normalized(requirement)]
    assert locked
    for each in locked:
        assert each == version if rule == "==" else _release(each) >= _release(version)


def test_grpc_is_of_one_release():
    versions = [entry["version"] for entry in ENTRIES if entry["name"].startswith("grpcio")]
    assert len(versions) == 5
    assert len(set(versions)) == 1


@pytest.mark.parametrize("name", ["requirements-run.lock", "requirements-image.lock"])
def test_the_locks_of_the_image_are_by_hash_and_agree_with_the_whole_one(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"https?:|--(extra-)?index|--find-links| @ ", text)
    whole = {(entry["name"], entry["version"]) for entry in ENTRIES}
    known = {each for each, _ in whole}
    entries = list(_ENTRY.finditer(text))
    assert entries
    for entry in entries:
        assert "--hash=sha256:" in entry["rest"]
        assert entry["name"] not in known or (entry["name"], entry["version"]) in whole


def test_the_service_runs_with_what_it_asks_for_and_no_tool_of_development():
    names = {entry["name"] for entry in _ENTRY.finditer((ROOT / "requirements-run.lock").read_text())}
    assert {normalized(each) for each in PROJECT["project"]["dependencies"]} <= names
    assert not {normalized(each) for each in PROJECT["dependency-groups"]["dev"]} & names


def _release(version: str) -> list[int]:
    return [int(part) for part in re.match(r"[0-9.]+", version)[0].strip(".").split(".")]
