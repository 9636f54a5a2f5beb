"""What the model is compared with: well-known methods, ranked over the whole catalogue; none of them serves.

Item-kNN is cosine with shrinkage (Dacrema et al. 2019), EASE as in Steck (WWW 2019), iALS by our own solver
and by the package `implicit`, which evaluation alone uses and not every machine has. Dense blocks of scores
are at most some tens of megabytes.
"""

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from service.training.evaluation import PLACES, Ranker, Report, Trial
from service.training.factors import learn_factors
from service.training.lists import lists_of
from service.training.settings import TrainingSettings
from service.training.threads import default_thread_count

# EASE holds the square of the catalogue in float64, twice: 1.6 GB at this many books.
MOST_BOOKS_OF_EASE = 10_000
_NEIGHBOURS, _SHRINK = 100, 10.0
_EASE_L2 = 200.0
# Its own default. Its steps are approximate: it needs more of them than our solver.
_ITERATIONS_OF_IMPLICIT = 15
_SCORES_AT_ONCE = 8_000_000

Scores = Callable[[sparse.csr_array], NDArray]  # histories [n, b] to scores [n, b]


def baselines(trial: Trial, settings: TrainingSettings) -> dict[str, Callable[[], Ranker]]:
    """Return by name what learns each baseline from the trial's known interactions."""
    found: dict[str, Callable[[], Ranker]] = {"item-kNN": lambda: _ranker(_item_knn(_matrix(trial)))}
    if len(trial.book_ids) <= MOST_BOOKS_OF_EASE:
        found["EASE"] = lambda: _ranker(_ease(_matrix(trial)))
    if settings.factor_count:
        found["iALS"] = lambda: _ranker(_ials(trial, settings))
        if has_implicit():
            found["iALS (implicit)"] = lambda: _ranker(_ials_of_implicit(_matrix(trial), settings))
    return found


def has_implicit() -> bool:
    """Tell whether the package `implicit` is installed, without importing it."""
    return find_spec("implicit") is not None


def _matrix(trial: Trial) -> sparse.csr_array:
    cells = trial.known_cells
    liked = cells.take(cells.preferences > 0)
    shape = (len(cells.reader_ids), len(trial.book_ids))
    return sparse.csr_array((liked.preferences, (liked.readers, liked.books)), shape=shape)


def _item_knn(matrix: sparse.csr_array) -> Scores:
    norms = np.sqrt(matrix.multiply(matrix).sum(axis=0))
    rows = []
    columns = matrix.T.tocsr()
    for start in range(0, matrix.shape[1], 1_000):
        together = (columns[start : start + 1_000] @ matrix).toarray()
        together[np.arange(len(together)), np.arange(len(together)) + start] = 0
        together /= norms[start : start + 1_000, None] * norms + _SHRINK
        if together.shape[1] > _NEIGHBOURS:
            least = np.partition(together, -_NEIGHBOURS, axis=1)[:, [-_NEIGHBOURS]]
            together[together < least] = 0
        rows.append(sparse.csr_array(together))
    neighbours = sparse.vstack(rows).T.tocsr()  # of each target its best sources
    return lambda histories: (histories @ neighbours).toarray()


def _ease(matrix: sparse.csr_array) -> Scores:
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices(len(gram))] += _EASE_L2
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return lambda histories: histories @ weights


def _ials(trial: Trial, settings: TrainingSettings) -> Scores:
    cells = trial.known_cells
    factors = learn_factors(
        lists_of(cells.take(cells.preferences > 0).latest(settings.longest_history), len(trial.book_ids)),
        factor_count=settings.factor_count,
        iterations=settings.iterations,
        unobserved=settings.unobserved,
        l2=settings.factor_l2,
        seed=settings.seed,
        thread_count=default_thread_count(),
    )

    def scores(histories: sparse.csr_array) -> NDArray:
        found = np.zeros((histories.shape[0], factors.shape[1]), dtype=np.float32)
        for row in range(histories.shape[0]):
            mine = slice(histories.indptr[row], histories.indptr[row + 1])
            read = factors[histories.indices[mine]]
            if len(read):
                found[row] = read.T @ np.linalg.solve(
                    read @ read.T + np.diag(1 / histories.data[mine]), np.ones(len(read), dtype=np.float32)
                )
        return found @ factors.T

    return scores


def _ials_of_implicit(matrix: sparse.csr_array, settings: TrainingSettings) -> Scores:
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    mean = matrix.data.mean(dtype=np.float64)

    def relative(histories: sparse.csr_array) -> sparse.csr_matrix:
        return sparse.csr_matrix(histories / mean, dtype=np.float32)

    # One thread: more would change the order of sums, and with it the figures.
    with threadpool_limits(1, "blas"):
        # The same objective as ours, divided by the weight of the unobserved, which there is 1.
        model = AlternatingLeastSquares(
            factors=settings.factor_count,
            alpha=1 / settings.unobserved,
            regularization=settings.factor_l2 / settings.unobserved,
            iterations=_ITERATIONS_OF_IMPLICIT,
            random_state=settings.seed,
            num_threads=1,
        )
        model.fit(relative(matrix), show_progress=False)

    def scores(histories: sparse.csr_array) -> NDArray:
        with threadpool_limits(1, "blas"):
            readers = model.recalculate_user(np.arange(histories.shape[0]), relative(histories))
            return readers @ model.item_factors.T

    return scores


def _ranker(scores: Scores) -> Ranker:
    def ranker(trial: Trial, progress: Report | None = None) -> NDArray[np.int32]:
        book_count = len(trial.book_ids)
        places = min(PLACES, book_count)
        matrix, cells = _matrix(trial), trial.known_cells
        known = sparse.csr_array(
            (np.ones(len(cells), dtype=np.int8), (cells.readers, cells.books)), shape=matrix.shape
        )
        rows = np.searchsorted(cells.reader_ids, trial.reader_ids)
        has_history = np.isin(trial.reader_ids, cells.reader_ids)
        found = np.full((len(rows), PLACES), -1, dtype=np.int32)
        step = max(1, _SCORES_AT_ONCE // book_count)
        judged = np.flatnonzero(has_history)
        for start in range(0, len(judged), step):
            if progress:
                progress(start / len(judged))
            some = judged[start : start + step]
            dense = np.asarray(scores(matrix[rows[some]]), dtype=np.float64)
            dense[known[rows[some]].toarray() > 0] = -np.inf
            best = np.argpartition(-dense, places - 1, axis=1)[:, :places]
            values = np.take_along_axis(dense, best, axis=1)
            order = np.lexsort((best, -values), axis=1)
            best = np.take_along_axis(best, order, axis=1)
            values = np.take_along_axis(values, order, axis=1)
            found[some, :places] = np.where(values > 0, best, -1)
        return found

    return ranker
