"""Files that survive a power cut whole or not at all; knows nothing of what is in them."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from service.models.errors import ModelError

# Promoting verifies a snapshot first, a second at most even for a large one; a healthy peer is
# done long before.
LONGEST_LOCK_WAIT_SECONDS = 10.0
_LOCK_POLL_SECONDS = 0.02


@contextmanager
def new_durable_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that must not exist yet for writing; its bytes are on the disk when the block ends."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Put the directory's entries (creations, renames) on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_text(path: Path, text: str) -> None:
    """Replace a small text file in one step: others see the old text or the new, never half."""
    written = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with new_durable_file(written) as file:
            file.write(text.encode())
        written.replace(path)
    except BaseException:
        with suppress(OSError):
            written.unlink()
        raise
    sync_directory(path.parent)


@contextmanager
def sole_writer(lock: Path, wait_seconds: float = LONGEST_LOCK_WAIT_SECONDS) -> Iterator[None]:
    """Keep other processes and threads out of the block; the lock goes with a process that dies.

    Raises ModelError when the lock is not free within `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    with lock.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ModelError(
                        f"{lock}: another process has been changing the models for {wait_seconds:g} s"
                    ) from None
                time.sleep(_LOCK_POLL_SECONDS)
        yield
