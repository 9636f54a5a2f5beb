"""Snapshots in a bucket, copied into a local directory to be mapped; knows nothing of which one is in use.

Objects: `<version>/<array>.npy`, then `<version>/manifest.json`, whose presence says that the version is
whole, and the pointer `current`. There is no lock: the pointer is replaced only as it was read.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import obstore

from service.domain.model import ItemModel
from service.models import manifest as manifests
from service.models import snapshot
from service.models.copies import Copies
from service.models.directory import ABANDONED_AFTER_SECONDS
from service.models.durable_files import new_durable_file, sync_directory
from service.models.errors import Missing, ModelError, Overtaken, file_errors
from service.models.explaining import Unsupported
from service.models.manifest import LARGEST_MANIFEST_BYTES, MANIFEST, VERSION_PATTERN
from service.models.objects import Objects
from service.models.pace import AT_FULL_SPEED, Pace

_POINTER = "current"
# Ten versions of 24 characters; anything much larger is not a pointer, and is not read.
_LARGEST_POINTER_BYTES = 4096
# Measured over TLS; a third of it in plaintext. The library does it in threads of its own.
_DOWNLOAD_SECONDS_PER_BYTE = 1.3e-9
# A core is busy with copying it into the page cache for some tenths of a millisecond.
_WRITTEN_BYTES = 256 * 1024

_log = logging.getLogger("recommendations.models")


class Bucket:
    """A place of snapshots, safe for several machines; a version is there once its manifest is."""

    def __init__(self, objects: Objects, cache_directory: Path) -> None:
        """Use a folder of its own in the cache directory, which other buckets may use too."""
        self._objects = objects
        self.name = objects.address.url
        where = f"{objects.address.endpoint} {self.name}"
        folder = f"{objects.address.bucket}-{hashlib.sha256(where.encode()).hexdigest()[:12]}"
        self._copies = Copies(Path(cache_directory) / folder, self.name)
        self._said_unconditional = False

    def new_folder(self) -> AbstractContextManager[Path]:
        """Give a folder on this machine to write a snapshot into; it is gone afterwards."""
        return self._copies.new_folder()

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
        """Verify the copy of a version and map it; where there is no sound copy, download the version."""
        return self._copies.read(version, pace, lambda folder: self._downloaded(version, folder, pace))

    def verify(self, version: str) -> None:
        """Download a version and verify it: what the bucket holds, whatever copies there are."""
        with self._copies.new_folder() as folder:
            self._downloaded(version, folder, AT_FULL_SPEED)

    def kept(self) -> ItemModel:
        """Return the version that was read last, from its copy; raises NoModel where there is none."""
        return self._copies.read_last()

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
            if before is not None and not before[1]:
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
                    pace.rest(elsewhere_seconds=len(block) * _DOWNLOAD_SECONDS_PER_BYTE)
                    for start in range(0, len(block), _WRITTEN_BYTES):
                        file.write(memoryview(block)[start : start + _WRITTEN_BYTES])
                        pace.rest()
        with file_errors(folder):
            sync_directory(folder)
        return snapshot.read(folder, name=f"{self.name}/{version}", pace=pace)
