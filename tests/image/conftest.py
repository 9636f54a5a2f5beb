"""The image by its name in IMAGE, and a pod of the dev overlay with the sample bookshop in it."""

import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.image.containers import Pod, copy_state, engine
from tests.k8s.rendering import Manifests, of_kind
from tests.tools import missing

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="session")
def image() -> str:
    name = os.environ.get("IMAGE", f"localhost/recommendations:{PROJECT['version']}")
    if "Error" in engine("image", "inspect", "--format={{.Id}}", name, check=False):
        missing(f"there is no image {name}; make it with: make image")
    return name


@pytest.fixture(scope="session")
def manifests(tmp_path_factory) -> Manifests:
    return Manifests(tmp_path_factory.mktemp("manifests"))


@pytest.fixture(scope="session")
def dev(manifests):
    """The dev overlay: its objects and the Deployment's pod template."""
    objects = manifests.render("dev")
    (deployment,) = of_kind(objects, "Deployment")
    return objects, deployment["spec"]["template"]


@pytest.fixture(scope="session")
def certificates(manifests):
    """The directory of the certificates that the dev overlay was given."""
    return manifests.certificates


@pytest.fixture(scope="session")
def prepared(image, dev, tmp_path_factory) -> Iterator[Pod]:
    """A pod whose init containers have run, with no shell: tables, sample, model."""
    objects, template = dev
    with Pod(tmp_path_factory.mktemp("pod") / "volumes", image, template, objects) as pod:
        for each in template["spec"]["initContainers"]:
            pod.run(each["name"])
        yield pod


@pytest.fixture
def pod(image, dev, prepared, tmp_path) -> Iterator[Pod]:
    """A pod of the test's own that begins where `prepared` is."""
    objects, template = dev
    with Pod(tmp_path / "volumes", image, template, objects) as own:
        copy_state(prepared.directory / "state", own.directory / "state")
        yield own


@pytest.fixture
def empty_pod(image, dev, tmp_path) -> Iterator[Callable[..., Pod]]:
    """Make a pod with nothing in it, perhaps of changed objects."""
    objects, template = dev
    with ExitStack() as running:
        yield lambda objects=objects: running.enter_context(
            Pod(tmp_path / "volumes", image, template, objects)
        )
