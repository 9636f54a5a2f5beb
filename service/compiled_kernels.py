"""Kernels that an image is built with: `python -m service.compiled_kernels` compiles them, starts find them.

numba's own places for them have to be writable, or it compiles at every start. The image names `BuiltIn` in
NUMBA_CACHE_LOCATOR_CLASSES: what is missing there cannot be stored either, and ends the start.
"""

import importlib
import itertools
import pkgutil

from numba.core.caching import InTreeCacheLocator

import service

_READERS = 100


class BuiltIn(InTreeCacheLocator):
    """The __pycache__ beside the source, read-only."""

    def ensure_cache_path(self) -> None:
        """Ask for nothing: what is there was put there by the build."""


def build() -> None:
    """Compile and store every kernel.

    Those of answering have signatures, and are compiled as they are imported; those of training are compiled
    for what they are called with.
    """
    _leave_out_addresses()
    # Not above: every start imports this module, for the class, and needs no training.
    import numpy as np

    from service.domain.interactions import InteractionLog
    from service.sample import sample_books, sample_interactions
    from service.training import TrainingSettings, train

    for module in pkgutil.walk_packages(service.__path__, "service."):
        if ".migrations" not in module.name:  # alembic runs these
            importlib.import_module(module.name)
    books = sample_books()
    log = InteractionLog.of(list(sample_interactions(books, readers=_READERS)))
    book_ids = np.array([book.id for book in books], dtype=np.int64)
    for settings in (TrainingSettings(), TrainingSettings.without_order()):
        train(log, book_ids, settings=settings)


def _leave_out_addresses() -> None:
    """Keep out of what is stored what would be another in each build of the same source.

    That is the listing of a kernel with its types, which nobody reads, and the number by which numba names an
    expression of arrays.
    """
    from numba.core.annotations.type_annotations import TypeAnnotation
    from numba.core.ir import Expr

    numbers = itertools.count()
    TypeAnnotation.__str__ = lambda _: ""  # type: ignore[method-assign]
    Expr.__hash__ = lambda self: self.__dict__.setdefault("_number", next(numbers))  # type: ignore[method-assign]


if __name__ == "__main__":
    build()
