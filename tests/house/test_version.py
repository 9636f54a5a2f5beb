"""One version: what is built, what the manifests deploy, what the README says."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
BUILT = "localhost/recommendations"  # what `make image` names it
KUSTOMIZATIONS = {
    str(path.relative_to(ROOT)): yaml.safe_load(path.read_text())
    for folder in ("k8s", "tests/e2e")
    for path in (ROOT / folder).rglob("kustomization.yaml")
}
TAGS = {
    file: image["newTag"]
    for file, kustomization in KUSTOMIZATIONS.items()
    for image in kustomization.get("images", [])
    if image.get("newName") == BUILT
}
LABELS = {
    file: labels["pairs"]["app.kubernetes.io/version"]
    for file, kustomization in KUSTOMIZATIONS.items()
    for labels in kustomization.get("labels", [])
    if "app.kubernetes.io/version" in labels["pairs"]
}


def test_the_places_are_found():
    assert "k8s/overlays/dev/kustomization.yaml" in TAGS
    assert "k8s/base/kustomization.yaml" in LABELS


@pytest.mark.parametrize("file", TAGS)
def test_overlays_run_the_image_that_is_built(file):
    assert TAGS[file] == VERSION


@pytest.mark.parametrize("file", LABELS)
def test_labels_say_it(file):
    assert LABELS[file] == VERSION


def test_the_readme_loads_the_image_that_is_built():
    named = re.findall(rf"{BUILT}:([\w.-]+)", (ROOT / "k8s" / "README.md").read_text())
    assert named
    assert set(named) == {VERSION}
