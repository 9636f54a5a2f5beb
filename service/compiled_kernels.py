"""Kernels that an image is built with: `python -m service.compiled_kernels` compiles them, starts find them.

numba's own places for them have to be writable, or it compiles at every start. The image names `BuiltIn` in
NUMBA_CACHE_LOCATOR_CLASSES: what is missing there cannot be stored either, and ends the start.
"""

import importlib
import pkgutil

from numba.core.caching import InTreeCacheLocator

import service


class BuiltIn(InTreeCacheLocator):
    """The __pycache__ beside the source, read-only."""

    def ensure_cache_path(self) -> None:
        """Ask for nothing: what is there was put there by the build."""


def build() -> None:
    """Import every module: kernels with signatures are compiled and stored as they are imported."""
    for module in pkgutil.walk_packages(service.__path__, "service."):
        if ".migrations" not in module.name:  # alembic runs these
            importlib.import_module(module.name)


if __name__ == "__main__":
    build()
