"""Copies of another place's snapshots on this machine, to be mapped; knows nothing of how they are fetched.

They lie in a Directory of their own, whose pointer tells which versions were read last.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.domain.model import ItemModel
from service.models.directory import Directory
from service.models.durable_files import sole_writer, sync_directory
from service.models.errors import Missing, ModelError, NoModel, file_errors
from service.models.manifest import VERSION_PATTERN
from service.models.pace import AT_FULL_SPEED, Pace

# The one in use, and the one that a rollback would return to.
_COPIES_KEPT = 2
# Of several processes that share the copies, one downloads. The lock goes with a process that dies, and each
# request of a download has a bound of its own.
_LONGEST_DOWNLOAD_WAIT_SECONDS = 600.0

_log = logging.getLogger("recommendations.models")


class Copies:
    """Whole copies alone, safe for several processes; the two that were read last stay."""

    def __init__(self, directory: Path, origin: str) -> None:
        """Use a directory; `origin` is what messages call the place that they are copies of."""
        self._directory, self._origin = Directory(directory), origin

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """Give a folder beside the copies to work in; it is gone afterwards, and what dead processes left."""
        with self._directory.new_folder() as folder:
            self._directory.clear_abandoned()
            yield folder

    def read(self, version: str, pace: Pace, download: Callable[[Path], ItemModel]) -> ItemModel:
        """Verify the copy of a version and map it; where there is no sound one, download it into a folder.

        Copies of versions other than this and the one read before are deleted.
        """
        path = self._directory.path
        with file_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        model = self._sound(version, pace)
        if model is None:
            lock = path / ".download-lock"
            with file_errors(lock), sole_writer(lock, _LONGEST_DOWNLOAD_WAIT_SECONDS):
                model = self._sound(version, pace)  # another process was quicker
                if model is None:
                    with self.new_folder() as folder:
                        model = download(folder)
                        self._place(folder, version)
        self._keep(version)
        return model

    def read_last(self) -> ItemModel:
        """Verify and map the version that was read last; raises NoModel where there is none."""
        versions = self._versions_read()
        if not versions:
            raise NoModel(f"{self._directory.name}: holds no copy of a model of {self._origin}")
        return self._directory.read(versions[0], AT_FULL_SPEED)

    def _place(self, folder: Path, version: str) -> None:
        if self._directory.has(version):
            self._directory.remove(version)
        # The model is mapped from these files: it does not matter what they are called.
        copy = self._directory.path / version
        with file_errors(copy):
            folder.rename(copy)
            sync_directory(copy.parent)

    def _sound(self, version: str, pace: Pace) -> ItemModel | None:
        try:
            return self._directory.read(version, pace)
        except Missing:
            return None
        except ModelError as damage:
            _log.warning("%s; it is downloaded again from %s", damage, self._origin)
            return None

    def _versions_read(self) -> list[str]:
        try:
            found = self._directory.pointer()
        except ModelError:
            return []
        versions = found[0].decode(errors="replace").split() if found else []
        return [each for each in versions if VERSION_PATTERN.fullmatch(each)]

    def _keep(self, version: str) -> None:
        read_last = self._versions_read()
        if read_last[:1] == [version]:
            return
        try:
            with self._directory.sole_writer():
                kept = [version, *(each for each in self._versions_read() if each != version)][:_COPIES_KEPT]
                for copy in self._directory.versions():
                    if VERSION_PATTERN.fullmatch(copy) and copy not in kept:
                        self._directory.remove(copy)
                self._directory.point(("\n".join(kept) + "\n").encode(), None)
        except ModelError as error:
            # The model itself was read and verified: a full disk now is no reason not to use it.
            _log.warning("%s; old copies of models may stay", error)
