"""Snapshots in a bucket, copied into a local directory to be mapped; knows nothing of which one is in use.

Objects: `<version>/<array>.npy`, then `<version>/manifest.json`, whose presence says that the version is
whole, and the pointer `current`. There is no lock: the pointer is replaced only as it was read. The local
copies lie in a Directory, whose own pointer tells which versions were read last from this bucket.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import obstore

from service.domain.model import ItemModel
from service.models import manifest as manifests
from service.models import snapshot
from service.models.directory import ABANDONED_AFTER_SECONDS, Directory
from service.models.durable_files import new_durable_file, sole_writer, sync_directory
from service.models.errors import Missing, ModelError, NoModel, Overtaken, file_errors
from service.models.explaining import Unsupported
from service.models.manifest import LARGEST_MANIFEST_BYTES, MANIFEST, VERSION_PATTERN
from service.models.objects import Objects
from service.models.pace import AT_FULL_SPEED, Pace

_POINTER = "current"
# Ten versions of 24 characters; anything much larger is not a pointer, and is not read.
_LARGEST_POINTER_BYTES = 4096
# The one in use, and the one that a rollback would return to.
_COPIES_KEPT = 2
# Of several processes that share the copies, one downloads; the others look again after this.
_LONGEST_DOWNLOAD_WAIT_SECONDS = 60.0

_log = logging.getLogger("recommendations.models")


class Bucket:
    """A place of snapshots, safe for several machines; a version is there once its manifest is."""

    def __init__(self, objects: Objects, cache_directory: Path) -> None:
        """Use a folder of its own in the cache directory, which other buckets may use too."""
        self._objects = objects
        self.name = objects.address.url
        where = f"{objects.address.endpoint} {self.name}"
        folder = f"{objects.address.bucket}-{hashlib.sha256(where.encode()).hexdigest()[:12]}"
        self._copies = Directory(Path(cache_directory) / folder)
        self._said_unconditional = False

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """Give a folder on this machine to write a snapshot into; it is gone afterwards."""
        with self._copies.new_folder() as folder:
            self._copies.clear_abandoned()
            yield folder

    def publish(self, folder: Path, version: str, report: Callable[[float], object]) -> None:
        """Upload a folder, the manifest last, and see that everything arrived.

        What is there of this version is replaced: the same bytes, or what an upload that died has left.
        """
        with file_errors(folder):
            sizes = {name: (folder / name).stat().st_size for name in snapshot.FILES}
        total, sent = sum(sizes.values()), 0

        def add(count: int) -> None:
            nonlocal sent
            sent += count
            report(sent / total)

        for name in snapshot.FILES:
            with file_errors(folder / name):
                self._objects.upload(f"{version}/{name}", folder / name, add)
        found = {each.path.rpartition("/")[2]: each.size_bytes for each in self._objects.listed(version)}
        for name, size in sizes.items():
            if found.get(name) != size:
                raise ModelError(
                    f"{self.name}/{version}/{name}: {size} bytes were uploaded, "
                    f"the store has {found.get(name, 'none')}"
                )

    def versions(self) -> list[str]:
        """Return the names of folders."""
        return self._objects.folders()

    def has(self, version: str) -> bool:
        """Tell whether a version was uploaded to its end."""
        try:
            self.manifest(version)
        except Missing:
            return False
        return True

    def manifest(self, version: str) -> bytes:
        """Return the bytes of a version's manifest."""
        return self._objects.read(f"{version}/{MANIFEST}", LARGEST_MANIFEST_BYTES).content

    def read(self, version: str, pace: Pace) -> ItemModel:
        """Verify the copy of a version and map it; where there is no sound copy, download the version.

        Copies of versions other than this and the one read before are deleted.
        """
        copy = self._copies.path / version
        with file_errors(self._copies.path):
            self._copies.path.mkdir(parents=True, exist_ok=True)
        model = self._sound_copy(version, pace)
        if model is None:
            lock = self._copies.path / ".download-lock"
            with file_errors(lock), sole_writer(lock, _LONGEST_DOWNLOAD_WAIT_SECONDS):
                model = self._sound_copy(version, pace)  # another process was quicker
                if model is None:
                    with self._copies.new_folder() as folder:
                        model = self._downloaded(version, folder, pace)
                        if self._copies.has(version):
                            self._copies.remove(version)
                        # The model is mapped from these files: it does not matter what they are called.
                        with file_errors(copy):
                            folder.rename(copy)
                            sync_directory(self._copies.path)
        self._keep(version)
        return model

    def verify(self, version: str) -> None:
        """Download a version and verify it: what the bucket holds, whatever copies there are."""
        with self._copies.new_folder() as folder:
            self._downloaded(version, folder, AT_FULL_SPEED)

    def kept(self) -> ItemModel:
        """Return the version that was read last, from its copy; raises NoModel where there is none."""
        read_last = self._read_last()
        if not read_last:
            raise NoModel(f"{self._copies.name}: holds no copy of a model of {self.name}")
        return self._copies.read(read_last[0], AT_FULL_SPEED)

    def remove(self, version: str) -> None:
        """Delete a version, first of all its manifest: the rest is not a version any more."""
        self._objects.delete([f"{version}/{MANIFEST}"])
        self._objects.delete([each.path for each in self._objects.listed(version)])

    def clear_abandoned(self) -> None:
        """Delete what uploads that died have left, as far as the bucket lists it."""
        latest_abandoned = time.time() - ABANDONED_AFTER_SECONDS
        for version in self.versions():
            if VERSION_PATTERN.fullmatch(version) and not self.has(version):
                left = self._objects.listed(version)
                if all(each.changed_at < latest_abandoned for each in left):
                    self._objects.delete([each.path for each in left])

    def pointer(self) -> tuple[bytes, str | None] | None:
        """Return the content of the pointer and its tag, with one small request; None where there is none."""
        try:
            return self._objects.read(_POINTER, _LARGEST_POINTER_BYTES)
        except Missing:
            return None

    def point(self, content: bytes, before: tuple[bytes, str | None] | None) -> None:
        """Replace the pointer if it still is what it was before; raises Overtaken when it is not."""
        try:
            if before is not None and before[1] is None:
                raise Unsupported(f"{self.name}/{_POINTER}: the store gives no ETag")
            self._objects.write_if(_POINTER, content, before[1] if before else None)
        except Unsupported as error:
            if not self._said_unconditional:
                self._said_unconditional = True
                _log.warning("%s; of two who promote at once the later one wins", error)
            self._objects.write(_POINTER, content)
        except Overtaken:
            # A write whose answer was lost is tried again, and then finds its own content.
            now = self.pointer()
            if now is None or now[0] != content:
                raise

    def sole_writer(self) -> AbstractContextManager[None]:
        """Keep nobody out: see `point`."""
        return nullcontext()

    def _sound_copy(self, version: str, pace: Pace) -> ItemModel | None:
        try:
            return self._copies.read(version, pace)
        except Missing:
            return None
        except ModelError as damage:
            _log.warning("%s; it is downloaded again from %s", damage, self.name)
            return None

    def _downloaded(self, version: str, folder: Path, pace: Pace) -> ItemModel:
        text = self.manifest(version)
        manifest = manifests.parse(text, f"{self.name}/{version}/{MANIFEST}", version)
        for name in snapshot.FILES:
            blocks: Iterator[obstore.Bytes | bytes] = iter([text])
            if name != MANIFEST:
                size = manifest["arrays"][name.removesuffix(".npy")]["bytes"]
                blocks = self._objects.blocks(f"{version}/{name}", size)
            with file_errors(folder / name), new_durable_file(folder / name) as file:
                for block in blocks:
                    file.write(block)
        with file_errors(folder):
            sync_directory(folder)
        return snapshot.read(folder, name=f"{self.name}/{version}", pace=pace)

    def _read_last(self) -> list[str]:
        try:
            found = self._copies.pointer()
        except ModelError:
            return []
        versions = found[0].decode(errors="replace").split() if found else []
        return [each for each in versions if VERSION_PATTERN.fullmatch(each)]

    def _keep(self, version: str) -> None:
        read_last = self._read_last()
        if read_last[:1] == [version]:
            return
        try:
            with self._copies.sole_writer():
                kept = [version, *(each for each in self._read_last() if each != version)][:_COPIES_KEPT]
                for copy in self._copies.versions():
                    if VERSION_PATTERN.fullmatch(copy) and copy not in kept:
                        self._copies.remove(copy)
                self._copies.clear_abandoned()
                self._copies.point(("\n".join(kept) + "\n").encode(), None)
        except ModelError as error:
            # The model itself was read and verified: a full disk now is no reason not to use it.
            _log.warning("%s; old copies of models may stay", error)
