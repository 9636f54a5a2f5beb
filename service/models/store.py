"""The snapshots of one place and the pointer to the one in use; knows nothing of training or serving.

The pointer holds the version in use on its first line and the ones in use before it, latest first, on the
next. A place is a directory or a bucket: how a version appears there whole or not at all is its own affair.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from service.domain.model import ItemModel
from service.models import manifest as manifests
from service.models import snapshot
from service.models.directory import Directory
from service.models.errors import Missing, ModelError, NoModel, Overtaken
from service.models.manifest import MANIFEST, VERSION_PATTERN, ManifestSummary, trained_second
from service.models.pace import Pace

POINTER = "current"
# Rolling back further than this is a new decision: `promote` takes any version.
PROMOTIONS_REMEMBERED = 10
# From saving a large model to promoting it takes minutes.
_ABOUT_TO_BE_PROMOTED_SECONDS = 3600.0

Versions = list[str]  # inside the class `list` is its method
Pointer = tuple[bytes, str | None]  # its content, and the tag that it is replaced by

_log = logging.getLogger("recommendations.models")


class Place(Protocol):
    """Where snapshots lie. Every failure is a ModelError of one line; Directory and Bucket say the rest."""

    name: str

    def new_folder(self) -> AbstractContextManager[Path]: ...
    def publish(self, folder: Path, version: str, report: Callable[[float], object]) -> None: ...
    def versions(self) -> list[str]: ...
    def has(self, version: str) -> bool: ...
    def manifest(self, version: str) -> bytes: ...
    def read(self, version: str, pace: Pace) -> ItemModel: ...
    def verify(self, version: str) -> None: ...
    def kept(self) -> ItemModel: ...
    def remove(self, version: str) -> None: ...
    def clear_abandoned(self) -> None: ...
    def pointer(self) -> Pointer | None: ...
    def point(self, content: bytes, before: Pointer | None) -> None: ...
    def sole_writer(self) -> AbstractContextManager[None]: ...


class ModelStore:
    """Snapshots in one place, safe for several processes; all failures are ModelErrors of one line."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @classmethod
    def open(
        cls,
        url: str,
        *,
        cache_directory: Path,
        endpoint: str = "",
        region: str = "us-east-1",
        credentials_file: Path | None = None,
        ca_file: Path | None = None,
        request_seconds: float | None = None,
    ) -> "ModelStore":
        """Use a directory, or s3://bucket/prefix of an S3-compatible store, which is not asked yet.

        Models of a bucket are copied into `cache_directory`, which processes may share, and mapped there.
        No endpoint means Amazon's for the region; no credentials file means anonymous; certificates signed by
        those of `ca_file` are trusted beside public ones. A request to the store takes `request_seconds` at
        most (objects.REQUEST_SECONDS unless given).
        """
        if "://" not in url:
            return cls(Directory(Path(url)))
        # Only here: a directory does without the library.
        from service.models.address import Address
        from service.models.bucket import Bucket
        from service.models.objects import REQUEST_SECONDS, Objects

        address = Address.parse(url, endpoint, region)
        objects = Objects(address, credentials_file, ca_file, request_seconds or REQUEST_SECONDS)
        return cls(Bucket(objects, cache_directory))

    def require_usable(self) -> None:
        """Refuse now what would fail after minutes of training: no room to write, a bucket that denies."""
        with self._place.new_folder():
            self._place.pointer()

    def save(
        self,
        model: ItemModel,
        *,
        settings: Mapping[str, Any],
        data_digest: str,
        progress: Callable[[str, float], object] = lambda stage, done: None,
    ) -> str:
        """Write a snapshot, never half of one, and return its version; it is not in use before `promote`.

        Makes a directory where needed, never a bucket. Saving the same model again returns the same version.
        """
        with self._place.new_folder() as folder:
            manifest = snapshot.write(folder, model, settings=settings, data_digest=data_digest)
            version: str = manifest["version"]
            self._place.publish(folder, version, lambda done: progress("storing the model", done))
        return version

    def load(self, version: str | None = None, *, core_share: float = 1.0) -> ItemModel:
        """Verify a snapshot, the current one by default, and map it into memory, read-only.

        Verifying takes `core_share` of a core's time at most: less than 1 where the core answers calls too.
        """
        pace = Pace(core_share)
        if version is not None:
            self._require(version)
            return self._place.read(version, pace)
        current = self.current_version()
        if not self._place.has(current):
            raise ModelError(f"{self._place.name}/{POINTER}: names version {current}, which is not there")
        return self._place.read(current, pace)

    def load_kept(self) -> ItemModel:
        """Map the model that was loaded last on this machine, without asking the bucket, which may be away.

        Raises NoModel where there is none, as for a directory, which is not away while it can be read.
        """
        return self._place.kept()

    def manifest(self, version: str) -> dict[str, Any]:
        """Return everything a snapshot says of itself."""
        self._require(version)
        return self._manifest(version)

    def current_version(self) -> str:
        """Return the version in use, with one small request to a bucket; refuse when there is none."""
        promoted = self._promoted(self._place.pointer())
        if not promoted:
            raise NoModel(f"{self._place.name}: has no current model; train one: recommendations train")
        return promoted[0]

    def list(self) -> list[ManifestSummary]:
        """Describe every snapshot, the latest first, broken ones by their problem; arrays are not read.

        A pointer that names no version is told in the log: none is in use then.
        """
        current = self._promoted_if_any(self._place.pointer())[:1]
        return [self._summary(version, is_current=[version] == current) for version in self._versions()]

    def promote(self, version: str, *, keep: int | None = None) -> Versions:
        """Put a snapshot in use once it is verified; the pointer changes in one step, also a broken one.

        With `keep`, prunes beyond that many afterwards, and returns the versions that were deleted. Those
        trained within the last hour stay: another process may be about to promote one of them.
        """
        with self._place.sole_writer():
            before = self._place.pointer()
            self._require(version)
            earlier = [each for each in self._promoted_if_any(before) if each != version]
            self._point([version, *earlier], before)
            if keep is None:
                return []
            try:
                return self._prune(keep, spared_from=time.time() - _ABOUT_TO_BE_PROMOTED_SECONDS)
            except ModelError as error:
                _log.warning("%s; the model is in use, and old ones stay", error)
                return []

    def rollback(self) -> str:
        """Put the snapshot in use that was promoted before the current one, and return its version.

        Versions pruned since are passed over. A second rollback goes back one further.
        """
        with self._place.sole_writer():
            before = self._place.pointer()
            earlier = [each for each in self._promoted(before)[1:] if self._place.has(each)]
            if not earlier:
                raise ModelError(f"{self._place.name}/{POINTER}: names no earlier model to go back to")
            self._point(earlier, before)
            return earlier[0]

    def prune(self, keep: int) -> Versions:
        """Delete all snapshots but the `keep` latest, and return their versions, the latest first.

        Neither the current one nor the one that `rollback` would return to is ever deleted. A process that
        has a deleted snapshot mapped keeps its memory.
        """
        if keep < 0:
            raise ModelError(f"keep: {keep} is not 0 or more")
        with self._place.sole_writer():
            return self._prune(keep)

    def _prune(self, keep: int, spared_from: float = math.inf) -> Versions:
        existing = [each for each in self._versions() if self._place.has(each)]
        doomed = [each for each in existing[keep:] if trained_second(each) < spared_from]
        removed = []
        for version in doomed:
            # Looked up again: in a bucket nothing keeps others from promoting an old version meanwhile.
            if version not in self._needed(existing):
                self._place.remove(version)
                removed.append(version)
        self._place.clear_abandoned()
        return removed

    def _needed(self, existing: Versions) -> Versions:
        return [each for each in self._promoted(self._place.pointer()) if each in existing][:2]

    def _versions(self) -> Versions:
        return sorted(
            (each for each in self._place.versions() if VERSION_PATTERN.fullmatch(each)), reverse=True
        )

    def _promoted(self, pointer: Pointer | None) -> Versions:
        """Return the versions in a pointer: the current one and those before it; none without a pointer."""
        if pointer is None:
            return []
        versions = pointer[0].decode(errors="replace").split()
        for version in versions or [""]:
            if not VERSION_PATTERN.fullmatch(version):
                raise ModelError(
                    f"{self._place.name}/{POINTER}: {version[:40]!r} is not the version of a model"
                )
        return versions

    def _promoted_if_any(self, pointer: Pointer | None) -> Versions:
        try:
            return self._promoted(pointer)
        except ModelError as error:
            _log.warning("%s; promoting one mends it", error)
            return []

    def _point(self, versions: Versions, before: Pointer | None) -> None:
        """Verify the first of the versions and let the pointer name it, if nobody else has changed it."""
        version = versions[0]
        self._place.verify(version)
        content = "\n".join(versions[:PROMOTIONS_REMEMBERED]) + "\n"
        try:
            self._place.point(content.encode(), before)
        except Overtaken:
            raise Overtaken(
                f"{self._place.name}/{POINTER}: another process promoted a model meanwhile; "
                f"`recommendations models list` tells which, {version} is not in use"
            ) from None
        # A bucket has no lock that would keep others from pruning what was verified just now.
        if not self._place.has(version):
            raise ModelError(
                f"{self._place.name}/{version}: was deleted while it was promoted; promote another"
            )

    def _require(self, version: str) -> None:
        # The pattern also keeps a version from naming a path elsewhere.
        if not VERSION_PATTERN.fullmatch(version):
            raise ModelError(f"version: {version[:40]!r} is not a version (YYYYMMDD-HHMMSS-xxxxxxxx)")
        if not self._place.has(version):
            raise ModelError(
                f"{self._place.name}/{version}: does not exist; "
                "`recommendations models list` names the models"
            )

    def _manifest(self, version: str) -> dict[str, Any]:
        return manifests.parse(
            self._place.manifest(version), f"{self._place.name}/{version}/{MANIFEST}", version
        )

    def _summary(self, version: str, *, is_current: bool) -> ManifestSummary:
        try:
            return manifests.summarise(self._manifest(version), is_current=is_current)
        except Missing as error:
            return ManifestSummary(version, is_current, problem=f"{error}: it was not written to its end")
        except ModelError as error:
            return ManifestSummary(version, is_current, problem=str(error))
