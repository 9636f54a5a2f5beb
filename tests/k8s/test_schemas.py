"""Every overlay with every combination of components renders; each object is what Kubernetes says it is."""

import json
import re
from functools import cache

import kubernetes_validate
import pytest

from tests.k8s.rendering import REPOSITORY, combinations

# What the drills run on, and the newest.
VERSIONS = ("1.33", "1.37")
# Kinds of operators. Their own schemas are the API server's when the drills apply them.
FOREIGN_GROUPS = {"cert-manager.io", "monitoring.coreos.com", "gateway.networking.k8s.io"}
COMBINATIONS = list(combinations())


@cache  # most objects are the same in many combinations
def check(text: str) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(json.loads(text), version, strict=True)


@pytest.mark.parametrize(
    ("overlay", "components"), COMBINATIONS, ids=["+".join((each, *more)) for each, more in COMBINATIONS]
)
def test_every_combination_is_valid_and_names_nothing_twice(manifests, overlay, components):
    objects = manifests.render(overlay, components)
    foreign = 0
    for each in objects:
        if each["apiVersion"].partition("/")[0] in FOREIGN_GROUPS:
            foreign += 1
            continue
        check(json.dumps(each))
    assert len(objects) - foreign >= 10
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))


def test_a_misspelt_field_is_found():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"porst": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, VERSIONS[0], strict=True)


def test_every_file_has_one_resource():
    for path in (REPOSITORY / "k8s").rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert len(re.findall(r"^kind: ", text, re.MULTILINE)) == 1, path
        assert not re.search(r"^---", text, re.MULTILINE), path
