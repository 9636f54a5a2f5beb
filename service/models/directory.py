"""Snapshots in a directory; knows nothing of which one is in use.

Layout: `<directory>/<version>/manifest.json` and one .npy file an array, the pointer `current`. Names with a
leading dot are work in progress and the lock.
"""

import errno
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.domain.model import ItemModel
from service.models import manifest as manifests
from service.models import snapshot
from service.models.durable_files import replace_text, sole_writer, sync_directory
from service.models.errors import ModelError, NoModel, file_errors
from service.models.manifest import MANIFEST
from service.models.pace import Pace

_POINTER = "current"
_SAVING, _REMOVED = ".saving-", ".removed-"
# Older work in progress belongs to a process that died: no snapshot takes an hour to write.
ABANDONED_AFTER_SECONDS = 3600.0


class Directory:
    """A place of snapshots, safe for several processes; a version appears in one step, by its rename."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.name = str(path)

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """Give a folder to write a snapshot into; whatever was not published is gone afterwards."""
        with file_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            folder = self.path / f"{_SAVING}{secrets.token_hex(8)}"
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, version: str, report: Callable[[float], object]) -> None:
        """Let a folder from `new_folder` be a version; the same model may have been saved before."""
        with file_errors(self.path):
            try:
                folder.rename(self.path / version)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                snapshot.read(self.path / version)
            sync_directory(self.path)
        report(1.0)

    def versions(self) -> list[str]:
        """Return the names of folders."""
        self._require()
        with file_errors(self.path):
            return [path.name for path in self.path.iterdir() if path.is_dir()]

    def has(self, version: str) -> bool:
        """Tell whether a version is there, whole or not."""
        self._require()
        with file_errors(self.path):
            return (self.path / version).is_dir()

    def manifest(self, version: str) -> bytes:
        """Return the bytes of a version's manifest."""
        return manifests.read_text(self.path / version / MANIFEST)

    def read(self, version: str, pace: Pace) -> ItemModel:
        """Verify a version and map it."""
        return snapshot.read(self.path / version, pace=pace)

    def verify(self, version: str) -> None:
        """Verify a version."""
        snapshot.read(self.path / version)

    def kept(self) -> ItemModel:
        """Raise NoModel: nothing of a directory is kept elsewhere."""
        raise NoModel(f"{self.name}: is a directory, of which nothing is kept elsewhere")

    def remove(self, version: str) -> None:
        """Delete a version; a process that has it mapped keeps its memory."""
        with file_errors(self.path):
            remove_folder(self.path / version)

    def clear_abandoned(self) -> None:
        """Delete what processes that died have left."""
        with file_errors(self.path):
            clear_abandoned(self.path)

    def pointer(self) -> tuple[bytes, None] | None:
        """Return the content of the pointer, and no tag: whoever changes it holds the lock."""
        self._require()
        path = self.path / _POINTER
        with file_errors(path):
            try:
                return path.read_bytes(), None
            except FileNotFoundError:
                return None

    def point(self, content: bytes, before: object) -> None:
        """Replace the pointer in one step; nobody else has meanwhile, for the lock is held."""
        with file_errors(self.path):
            replace_text(self.path / _POINTER, content.decode())

    @contextmanager
    def sole_writer(self) -> Iterator[None]:
        """Keep other processes from changing the pointer and deleting versions."""
        self._require()
        with file_errors(self.path), sole_writer(self.path / ".lock"):
            yield

    def _require(self) -> None:
        with file_errors(self.path):
            exists = self.path.is_dir()
        if not exists:
            raise ModelError(f"{self.name}: is not a directory of models; train one: recommendations train")


def remove_folder(folder: Path) -> None:
    """Delete a folder of a version: it is gone in one step, its files follow. Raises OSError."""
    removed = folder.with_name(f"{_REMOVED}{folder.name}-{secrets.token_hex(4)}")
    folder.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


def clear_abandoned(directory: Path) -> None:
    """Delete folders of work in progress that nobody can be at any more. Raises OSError."""
    latest_abandoned = time.time() - ABANDONED_AFTER_SECONDS
    for path in directory.iterdir():
        if path.name.startswith((_SAVING, _REMOVED)):
            with suppress(FileNotFoundError):  # its owner was quicker
                if path.stat().st_mtime < latest_abandoned:
                    shutil.rmtree(path, ignore_errors=True)
