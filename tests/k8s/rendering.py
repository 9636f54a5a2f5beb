"""Render the manifests with `kubectl kustomize`; knows the folders of k8s/ and nothing of what is tested."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from service.security.certificates import make_development_certificates
from tests.tools import require_tool

REPOSITORY = Path(__file__).parents[2]
COMPONENTS = sorted(path.name for path in (REPOSITORY / "k8s" / "components").iterdir())
# Those that are not part of an overlay already.
OPTIONAL = {"dev": COMPONENTS, "prod": ["gateway", "postgres"]}

Object = dict[str, Any]


def combinations() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every overlay with every subset of the components that it can be given."""
    for overlay, optional in OPTIONAL.items():
        for count in range(len(optional) + 1):
            for components in itertools.combinations(optional, count):
                yield overlay, components


class Manifests:
    """A folder like k8s/, with development certificates where the dev overlay wants them."""

    def __init__(self, directory: Path) -> None:
        # kustomize reads nothing from outside; the files themselves are the repository's.
        self._root = directory / "k8s"
        shutil.copytree(REPOSITORY / "k8s", self._root, ignore=shutil.ignore_patterns("certs"))
        self.certificates = self._root / "overlays" / "dev" / "certs"
        make_development_certificates(self.certificates)
        self._kubectl = require_tool("kubectl")

    def add_setting(self, overlay: str, line: str) -> None:
        """Put a line into the settings of an overlay, as an operator would."""
        with (self._root / "overlays" / overlay / "settings.env").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def render(self, overlay: str, components: Sequence[str] = ()) -> list[Object]:
        """Return the objects of an overlay with components."""
        folder = self._root / "overlays" / "-".join([overlay, *components])
        if components and not folder.exists():
            shutil.copytree(self._root / "overlays" / overlay, folder)
            file = folder / "kustomization.yaml"
            kustomization = yaml.safe_load(file.read_text())
            kustomization.setdefault("components", []).extend(
                f"../../components/{each}" for each in components
            )
            file.write_text(yaml.safe_dump(kustomization))
        text = subprocess.run(
            [self._kubectl, "kustomize", folder], check=True, capture_output=True, text=True, timeout=60,
            env=os.environ | {"HOME": str(self._root)},
        ).stdout  # fmt: skip
        return list(yaml.safe_load_all(text))


def of_kind(objects: Sequence[Object], kind: str, name: str | None = None) -> list[Object]:
    """Return the objects of a kind, or of a name too."""
    return [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]


def pod_templates(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the pod template of everything that makes pods, with what it is called."""
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if each["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob"):
            yield f"{each['kind']} {each['metadata']['name']}", spec["template"]


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod's spec."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def settings_of(objects: Sequence[Object]) -> dict[str, str]:
    """Return the environment that the service's ConfigMap gives."""
    (found,) = [
        each
        for each in of_kind(objects, "ConfigMap")
        if each["metadata"]["name"].startswith("recommendations-settings")
    ]
    return found["data"]
