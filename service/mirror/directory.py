"""The directory of mirrors: which one is current, who may write, what is old; knows nothing of their content.

Layout: `<directory>/<version>/manifest.json` and one .npy file an array; the pointer `current` holds a
version. Names with a leading dot are work in progress and the lock.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.failure import Failure
from service.mirror.errors import MirrorError, file_errors
from service.mirror.manifest import VERSION_PATTERN
from service.models.durable_files import replace_text, sole_writer

POINTER = "current"
BUILDING = ".building-"
_REMOVED = ".removed-"
# A shop of forty million interactions takes a minute or two; behind this there is a process that hangs.
LONGEST_BUILD_SECONDS = 1800.0


def current_version(directory: Path) -> str | None:
    """Return the current version, None where there is none; raise MirrorError for a broken pointer."""
    pointer = directory / POINTER
    with file_errors(pointer):
        try:
            version = pointer.read_bytes()[:100].decode(errors="replace").strip()
        except FileNotFoundError:
            return None
    # The pattern also keeps a version from naming a path elsewhere.
    if not VERSION_PATTERN.fullmatch(version):
        raise MirrorError(f"{pointer}: {version[:40]!r} is not the version of a mirror")
    return version


def make_current(directory: Path, version: str) -> None:
    """Point at a version that is complete."""
    replace_text(directory / POINTER, version + "\n")


@contextmanager
def sole_builder(directory: Path, wait_seconds: float = LONGEST_BUILD_SECONDS) -> Iterator[None]:
    """Keep other processes from building and pruning meanwhile; makes the directory where needed.

    Raises MirrorError when another one has not ended within `wait_seconds`. Look at `current_version` again
    inside the block: the other one may have made what is wanted. The lock goes with a process that dies.
    """
    with ExitStack() as stack:
        with file_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(sole_writer(directory / ".lock", wait_seconds))
            except Failure:
                raise MirrorError(
                    f"{directory}: another process has been writing a mirror for {wait_seconds:g} s"
                ) from None
        yield


def prune(directory: Path) -> list[str]:
    """Delete all versions but the current one, and what builders left that died; return the versions.

    Only for a sole builder. A process that has a deleted version mapped keeps it: its files live on unnamed.
    """
    current = current_version(directory)
    doomed = []
    with file_errors(directory):
        clear_abandoned(directory)
        for path in sorted(directory.iterdir()):
            if VERSION_PATTERN.fullmatch(path.name) and path.name != current:
                # In one step: nobody shall find half of one.
                removed = path.with_name(_REMOVED + path.name)
                path.rename(removed)
                shutil.rmtree(removed)
                doomed.append(path.name)
    return doomed


def clear_abandoned(directory: Path) -> None:
    """Delete what builders left that died; only for a sole builder."""
    for path in directory.iterdir():
        if path.name.startswith((BUILDING, _REMOVED)):
            shutil.rmtree(path)
