"""What `train` and `evaluate` begin with alike: stored data, and how order is taken."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from service.settings import Settings
from service.stores import open_database

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from service.domain.books import Book
    from service.domain.interactions import InteractionLog
    from service.training import TrainingSettings

ORDERS = ("time", "none")
ORDER_HELP = "Learn from the order in which books were read, or take histories as sets; serving follows."
_LIBRARIES = ("recommendations", "numpy", "numba", "scipy")


def training_settings(settings: Settings, order: str, seed: int = 0) -> "TrainingSettings":
    """Return the settings of learning; interactions weigh what they weigh to serving."""
    from dataclasses import replace

    from service.training import TrainingSettings

    chosen = TrainingSettings() if order == "time" else TrainingSettings.without_order()
    return replace(chosen, seed=seed, weights=settings.interaction_weights)


def stored_data(settings: Settings) -> "tuple[InteractionLog, list[Book], NDArray[np.int64]]":
    """Read all interactions, the books by ascending id, and their ids."""
    import numpy as np

    with open_database(settings) as database:
        books = list(database.books())
        log = database.interactions()
    return log, books, np.array([book.id for book in books], dtype=np.int64)


def library_versions() -> dict[str, str]:
    """Return the versions of what a model's bytes depend on."""
    return {name: version(name) for name in _LIBRARIES}
