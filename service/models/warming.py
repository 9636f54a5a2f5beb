"""Brings a model that will answer soon into this process's memory; knows nothing of where it came from."""

from service.domain.model import ItemModel
from service.models.mapped_arrays import touch

# A page that is touched first costs a call about a microsecond; models of a usual shop fit here as a whole.
# Of larger ones the rest stays in the page cache, so that a worker holds only what its readers ask for.
MAX_WARM_BYTES = 64 << 20


def warm(model: ItemModel) -> None:
    """Touch the pages of a mapped model, the first 64 MB of its neighbours, before calls have to."""
    for array in (model.book_ids, model.indptr, model.popularity, model.indices, model.weights):
        touch(array, MAX_WARM_BYTES // 2)
