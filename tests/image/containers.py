"""Run the image as the Deployment says: its security context, limits and mounts, by a container engine.

Knows docker's command line (podman's is the same), nothing of what is tested.
"""

import base64
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

from tests.k8s.rendering import Object
from tests.tools import require_tool, wait_until

ENGINE = os.environ.get("ENGINE", "docker")
# Against hanging, not a measure: what takes seconds takes minutes where two processors do everything at once.
PATIENCE_SECONDS = 300.0


def engine(*arguments: str | Path, check: bool = True) -> str:
    """Run the engine and return what it printed, its complaints behind it."""
    command = [require_tool(ENGINE), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert not check or result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout + result.stderr


def confinement(pod: Object, container: Object) -> list[str]:
    """Return the options that a pod's and a container's security contexts and limits come to."""
    whole, own, limits = (
        pod["securityContext"],
        container["securityContext"],
        container["resources"]["limits"],
    )
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    return [
        "--read-only",
        "--security-opt=no-new-privileges",
        *(f"--cap-drop={each}" for each in own["capabilities"]["drop"]),
        f"--user={whole['runAsUser']}:{whole['runAsGroup']}",
        f"--group-add={whole['fsGroup']}",
        f"--memory={limits['memory'].removesuffix('i').lower()}",
        f"--cpus={limits['cpu']}",
    ]


class Pod:
    """Directories for a pod's volumes, filled from ConfigMaps and Secrets, and containers over them."""

    def __init__(self, directory: Path, image: str, template: Object, objects: Sequence[Object]) -> None:
        self._image, self._spec, self._objects = image, template["spec"], objects
        self.directory = directory
        self._data = {
            each["metadata"]["name"]: each for each in objects if each["kind"] in ("ConfigMap", "Secret")
        }
        for volume in self._spec["volumes"]:
            self._fill(directory / volume["name"], volume)
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for name in self._names:
            engine("rm", "--force", "--volumes", name, check=False)

    def _fill(self, path: Path, volume: Object) -> None:
        path.mkdir(parents=True)
        sources = volume.get("projected", {}).get("sources", [volume])
        for source in sources:
            reference = source.get("configMap") or source.get("secret")
            if reference is None:
                continue
            name = reference.get("name") or reference.get("secretName")
            data = contents(self._data[name])
            keys = reference.get("items") or [{"key": key, "path": key} for key in data]
            for item in keys:
                (path / item["path"]).write_bytes(data[item["key"]])
        self._give(path, writable="emptyDir" in volume)

    def _give(self, path: Path, writable: bool) -> None:
        """Do what the kubelet does with fsGroup: the files belong to root and the pod's group."""
        group = self._spec["securityContext"]["fsGroup"]
        for each in [path, *path.iterdir()]:
            if os.geteuid() == 0:
                os.chown(each, 0, group)
                each.chmod(0o2770 if writable else 0o750 if each.is_dir() else 0o440)
            else:  # cannot give anything away: open to everybody
                each.chmod(0o777 if writable or each.is_dir() else 0o444)

    def container(self, name: str) -> Object:
        """Return a container of the pod by its name."""
        return next(
            each
            for each in [*self._spec.get("initContainers", []), *self._spec["containers"]]
            if each["name"] == name
        )

    def _options(self, container: Object, settings: Mapping[str, str]) -> list[str]:
        environment = {}
        for source in container["envFrom"]:
            environment |= self._data[source["configMapRef"]["name"]]["data"]
        mounts = [
            f"-v={self.directory / each['name']}:{each['mountPath']}:{'ro' if each.get('readOnly') else 'rw'}"
            for each in container["volumeMounts"]
        ]
        return [
            *confinement(self._spec, container),
            *mounts,
            *(f"--env={key}={value}" for key, value in (environment | dict(settings)).items()),
        ]

    def run(self, name: str, *arguments: str, settings: Mapping[str, str] = {}, check: bool = True) -> str:
        """Run a container of the pod to its end, with its own arguments or others."""
        container = self.container(name)
        options = self._options(container, settings)
        return engine("run", "--rm", *options, self._image, *(arguments or container["args"]), check=check)

    def start(
        self,
        *more: str,
        settings: Mapping[str, str] = {},
        options: Sequence[str] = (),
        ready: bool = True,
    ) -> "Container":
        """Start the service; its ports are on free ones of this machine."""
        container = self.container("recommendations")
        name = f"recommendations-{uuid.uuid4().hex[:12]}"
        self._names.append(name)
        ports = [f"--publish=127.0.0.1::{port['containerPort']}" for port in container["ports"]]
        stated = self._options(container, settings)
        engine(
            "run",
            "--detach",
            f"--name={name}",
            *ports,
            *stated,
            *options,
            self._image,
            *(more or container["args"]),
        )
        started = Container(name)
        if ready:
            started.wait_ready()
        return started


class Container:
    """A service that runs in a container."""

    def __init__(self, name: str) -> None:
        self.name = name

    def inspect(self) -> dict[str, Any]:
        return json.loads(engine("inspect", self.name))[0]

    def port(self, number: int) -> int:
        """Return this machine's port for one of the container's."""
        return int(self.inspect()["NetworkSettings"]["Ports"][f"{number}/tcp"][0]["HostPort"])

    def get(self, path: str, timeout_seconds: float = 30) -> str:
        with urlopen(f"http://127.0.0.1:{self.port(8080)}{path}", timeout=timeout_seconds) as answer:
            return answer.read().decode()

    def wait_ready(self) -> None:
        wait_until(lambda: self._answers("/readyz"), PATIENCE_SECONDS, "readiness of the container")

    def wait_alive(self) -> None:
        wait_until(lambda: self._answers("/livez"), PATIENCE_SECONDS, "life of the container")

    def _answers(self, path: str) -> bool:
        state = self.inspect()["State"]
        assert state["Running"], self.log()
        try:
            return bool(self.get(path))
        except OSError:
            return False

    def signal(self, name: str) -> None:
        engine("kill", f"--signal={name}", self.name)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return int(engine("wait", self.name))

    def log(self) -> str:
        return engine("logs", self.name)


def contents(found: Object) -> dict[str, bytes]:
    """Return the files of a ConfigMap or Secret."""
    if found["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in found["data"].items()}
    return {key: value.encode() for key, value in found["data"].items()}


def copy_state(source: Path, target: Path) -> None:
    """Copy a volume with its owners and modes."""
    shutil.rmtree(target)
    subprocess.run(["cp", "--archive", source, target], check=True)
