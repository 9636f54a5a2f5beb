"""Brings a model that will answer soon into this process's memory; knows nothing of where it came from."""

from service.domain.model import ItemModel
from service.models.mapped_arrays import touch
from service.models.pace import Pace
from service.models.snapshot import ARRAYS

# A page that is touched first costs a call about a microsecond; models of a usual shop fit here as a whole.
# Of larger ones the rest stays in the page cache, so that a worker holds only what its readers ask for.
MAX_WARM_BYTES_EACH = 32 << 20


def warm(model: ItemModel, *, core_share: float = 1.0) -> None:
    """Touch the pages of a mapped model, the first 32 MB of each array, before calls have to."""
    pace = Pace(core_share)
    for name in ARRAYS:
        touch(getattr(model, name), MAX_WARM_BYTES_EACH, pace.rest)
