"""Arrays in .npy files: written piece by piece, verified block by block, mapped; knows not what they mean."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from service.mirror.errors import MirrorError, file_errors
from service.models.durable_files import new_durable_file

# Read and looked at in one step: large enough to be quick, small enough not to count as memory.
_BLOCK_BYTES = 1 << 22


class ArrayFile:
    """A .npy file that grows at its end; its length stands in the header once it is complete."""

    def __init__(self, file: BinaryIO, kind: str, row: tuple[int, ...] = ()) -> None:
        """Begin an array of this type (as "<i8") with rows of this shape."""
        self._file, self._kind, self._row = file, np.dtype(kind), row
        self._length = 0
        self._sha256 = hashlib.sha256()
        self._write_header()
        self._header_bytes = file.tell()

    def append(self, rows: NDArray) -> None:
        """Put rows behind those that are there; they are of the file's type or become it."""
        content = np.ascontiguousarray(rows, dtype=self._kind)
        assert content.shape[1:] == self._row
        if len(content):
            octets = content.reshape(-1).view(np.uint8)
            self._sha256.update(octets.data)
            self._file.write(octets.data)
        self._length += len(content)

    def complete(self) -> dict[str, Any]:
        """Write down the length; return what the manifest holds of the file."""
        self._file.seek(0)
        self._write_header()
        assert self._file.tell() == self._header_bytes  # NumPy leaves room for any length
        return {"shape": [self._length, *self._row], "sha256": self._sha256.hexdigest()}

    def _write_header(self) -> None:
        described = {"descr": self._kind.str, "fortran_order": False, "shape": (self._length, *self._row)}
        np.lib.format.write_array_header_1_0(self._file, described)


@contextmanager
def new_array_file(
    directory: Path, name: str, kind: str, described: dict[str, Any], row: tuple[int, ...] = ()
) -> Iterator[ArrayFile]:
    """Write an array into a new file; at the end of the block it is on the disk and in `described`."""
    with new_durable_file(directory / f"{name}.npy") as file:
        array = ArrayFile(file, kind, row)
        yield array
        described[name] = array.complete()


class StoredArray:
    """A .npy file and what its manifest says of it."""

    def __init__(self, path: Path, kind: str, described: Mapping[str, Any]) -> None:
        self.path, self._described = path, described
        with file_errors(path):
            try:
                mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            except (ValueError, EOFError):
                raise self.broken("is not a NumPy array file, or was cut off") from None
        expected = tuple(described["shape"])
        if mapped.dtype != np.dtype(kind) or mapped.shape != expected:
            raise self.broken(
                f"holds {mapped.dtype.str}{list(mapped.shape)}, its manifest says {kind}{list(expected)}"
            )
        self._data_begins = int(mapped.offset)
        # A plain view: the memmap class makes every slice on the request path several times dearer.
        self.mapped: NDArray = mapped.view(np.ndarray)
        end = self._data_begins + self.mapped.nbytes
        if path.stat().st_size != end:
            raise self.broken(f"has {path.stat().st_size} bytes, {end} belong to its array")

    def broken(self, rule: str) -> MirrorError:
        """Return the error of a file that breaks a rule."""
        return MirrorError(f"{self.path}: {rule}")

    def verified_blocks(self) -> Iterator[NDArray]:
        """Yield the array in blocks; raises MirrorError at the end where it is not as it was written.

        Reads the file, so that none of the mapped memory is touched: it does not become the process's.
        """
        digest = hashlib.sha256()
        row_bytes = self.mapped.dtype.itemsize * int(np.prod(self.mapped.shape[1:], dtype=np.int64))
        rows = max(1, _BLOCK_BYTES // row_bytes)
        with file_errors(self.path), self.path.open("rb") as file:
            file.seek(self._data_begins)
            while octets := file.read(rows * row_bytes):
                digest.update(octets)
                yield np.frombuffer(octets, dtype=self.mapped.dtype).reshape(-1, *self.mapped.shape[1:])
        if digest.hexdigest() != self._described["sha256"]:
            raise self.broken("was altered after it was written (its SHA-256 is not the manifest's)")
