"""The directory of snapshots and the pointer to the one in use; knows nothing of training or serving.

Layout: `<directory>/<version>/manifest.json` and one .npy file an array; the pointer `current` holds the
version in use on its first line and the ones in use before it, latest first, on the next. Names with a
leading dot are work in progress and the lock.
"""

import errno
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.domain.model import ItemModel
from service.models import manifest as manifests
from service.models import snapshot
from service.models.durable_files import replace_text, sole_writer, sync_directory
from service.models.errors import ModelError, NoModel, file_errors
from service.models.manifest import VERSION_PATTERN, ManifestSummary

POINTER = "current"
# Rolling back further than this is a new decision: `promote` takes any version.
PROMOTIONS_REMEMBERED = 10
# Older work in progress belongs to a process that died: no snapshot takes an hour to write.
ABANDONED_AFTER_SECONDS = 3600.0
_SAVING, _REMOVED = ".saving-", ".removed-"

Versions = list[str]  # inside the class `list` is its method


class ModelStore:
    """Snapshots under one directory, safe for several processes; all failures are ModelErrors of one line."""

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)

    def save(self, model: ItemModel, *, settings: Mapping[str, Any], data_digest: str) -> str:
        """Write a snapshot, never half of one, and return its version; it is not in use before `promote`.

        Makes the directory where needed. Saving the same model again returns the same version.
        """
        with file_errors(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            written = self.directory / f"{_SAVING}{secrets.token_hex(8)}"
            written.mkdir()
            try:
                version = snapshot.write(written, model, settings=settings, data_digest=data_digest)[
                    "version"
                ]
                try:
                    written.rename(self.directory / version)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    snapshot.read(self.directory / version)  # the same model was saved before
            finally:
                shutil.rmtree(written, ignore_errors=True)
            sync_directory(self.directory)
        return version

    def load(self, version: str | None = None) -> ItemModel:
        """Verify a snapshot, the current one by default, and map it into memory, read-only."""
        return snapshot.read(self._path(self.current_version() if version is None else version))

    def manifest(self, version: str) -> dict[str, Any]:
        """Return everything a snapshot says of itself."""
        return manifests.read(self._path(version))

    def current_version(self) -> str:
        """Return the version in use; refuse when there is none."""
        promoted = self._promoted()
        if not promoted:
            raise NoModel(f"{self.directory}: has no current model; train one: recommendations train")
        if not (self.directory / promoted[0]).is_dir():
            raise ModelError(f"{self.directory / POINTER}: names version {promoted[0]}, which is not there")
        return promoted[0]

    def list(self) -> list[ManifestSummary]:
        """Describe every snapshot, the latest first, broken ones by their problem; arrays are not read."""
        current = self._promoted()[:1]
        return [
            manifests.summarise(self.directory / version, is_current=[version] == current)
            for version in self._versions()
        ]

    def promote(self, version: str) -> None:
        """Put a snapshot in use once it is verified; the pointer changes in one step."""
        self._require_directory()
        with file_errors(self.directory), sole_writer(self.directory / ".lock"):
            self.load(version)
            self._point([version, *(each for each in self._promoted() if each != version)])

    def rollback(self) -> str:
        """Put the snapshot in use that was promoted before the current one, and return its version.

        Versions pruned since are passed over. A second rollback goes back one further.
        """
        self._require_directory()
        with file_errors(self.directory), sole_writer(self.directory / ".lock"):
            earlier = [each for each in self._promoted()[1:] if (self.directory / each).is_dir()]
            if not earlier:
                raise ModelError(f"{self.directory / POINTER}: names no earlier model to go back to")
            self.load(earlier[0])
            self._point(earlier)
            return earlier[0]

    def prune(self, keep: int) -> Versions:
        """Delete all snapshots but the `keep` latest, and return their versions, the latest first.

        Neither the current one nor the one that `rollback` would return to is ever deleted. A process that
        has a deleted snapshot mapped keeps its memory.
        """
        if keep < 0:
            raise ModelError(f"keep: {keep} is not 0 or more")
        self._require_directory()
        with file_errors(self.directory), sole_writer(self.directory / ".lock"):
            existing = self._versions()
            in_use = [each for each in self._promoted() if each in existing][:2]
            doomed = [version for version in existing[keep:] if version not in in_use]
            for version in doomed:
                removed = self.directory / f"{_REMOVED}{version}-{secrets.token_hex(4)}"
                (self.directory / version).rename(removed)
                shutil.rmtree(removed)
            self._clear_abandoned()
        return doomed

    def _versions(self) -> Versions:
        self._require_directory()
        with file_errors(self.directory):
            names = [path.name for path in self.directory.iterdir() if path.is_dir()]
        return sorted((name for name in names if VERSION_PATTERN.fullmatch(name)), reverse=True)

    def _promoted(self) -> Versions:
        """Return the versions in the pointer: the current one and those before it; none without a pointer."""
        self._require_directory()
        pointer = self.directory / POINTER
        with file_errors(pointer):
            try:
                versions = pointer.read_bytes().decode(errors="replace").split()
            except FileNotFoundError:
                return []
        for version in versions or [""]:
            if not VERSION_PATTERN.fullmatch(version):
                raise ModelError(f"{pointer}: {version[:40]!r} is not the version of a model")
        return versions

    def _point(self, versions: Versions) -> None:
        replace_text(self.directory / POINTER, "\n".join(versions[:PROMOTIONS_REMEMBERED]) + "\n")

    def _path(self, version: str) -> Path:
        # The pattern also keeps a version from naming a path elsewhere.
        if not VERSION_PATTERN.fullmatch(version):
            raise ModelError(f"version: {version[:40]!r} is not a version (YYYYMMDD-HHMMSS-xxxxxxxx)")
        self._require_directory()
        path = self.directory / version
        with file_errors(path):
            exists = path.is_dir()
        if not exists:
            raise ModelError(f"{path}: does not exist; `recommendations models list` names the models")
        return path

    def _require_directory(self) -> None:
        with file_errors(self.directory):
            exists = self.directory.is_dir()
        if not exists:
            raise ModelError(
                f"{self.directory}: is not a directory of models; train one: recommendations train"
            )

    def _clear_abandoned(self) -> None:
        latest_abandoned = time.time() - ABANDONED_AFTER_SECONDS
        for path in self.directory.iterdir():
            if path.name.startswith((_SAVING, _REMOVED)):
                with suppress(FileNotFoundError):  # its owner was quicker
                    if path.stat().st_mtime < latest_abandoned:
                        shutil.rmtree(path, ignore_errors=True)
