"""Small dense algebra, compiled: the same bits whatever the number of threads; knows nothing of books.

What calls `_dot` and `_solve` from compiled code stands here too: numba notices changes of a function's own
file alone, and would go on with the old ones elsewhere.

A BLAS library cuts its work by the number of its threads, and with that changes the order of sums.
"""

import numpy as np
from numpy.typing import NDArray

from service.domain.compiled import njit
from service.training.threads import over_spans

# Rows in a part of a sum: fixed, so that the order of summation is.
_ROWS = 2048
_FAST = {"reassoc", "contract", "nsz"}


def row_spans(row_count: int) -> list[tuple[int, int]]:
    """Cut rows into spans of a fixed length."""
    return [(start, min(start + _ROWS, row_count)) for start in range(0, row_count, _ROWS)]


def gram(factors: NDArray[np.float32], thread_count: int) -> NDArray[np.float64]:
    """Return FᵀF of F [rows, d]."""
    parts = over_spans(lambda start, stop: _gram(factors[start:stop]), row_spans(len(factors)), thread_count)
    total = np.zeros((factors.shape[1], factors.shape[1]))
    for part in parts:
        total += part
    lower = np.tril(total)
    return lower + np.tril(total, -1).T


def product(
    factors: NDArray[np.float32], matrix: NDArray[np.float64], thread_count: int
) -> NDArray[np.float32]:
    """Return F M of F [rows, d] and M [d, d]."""
    out = np.empty_like(factors)
    single = np.ascontiguousarray(matrix, dtype=np.float32)
    over_spans(
        lambda start, stop: _product(factors[start:stop], single, out[start:stop]),
        row_spans(len(factors)),
        thread_count,
    )
    return out


def inverse_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return M with M Mᵀ = A⁻¹ for a positive definite A."""
    return _inverse_root(np.ascontiguousarray(matrix))


@njit(nogil=True, cache=True, fastmath={"contract"})
def _gram(rows):
    count, size = rows.shape
    total = np.zeros((size, size), dtype=np.float32)
    row = 0
    while row + 4 <= count:
        a, b, c, d = rows[row], rows[row + 1], rows[row + 2], rows[row + 3]
        for i in range(size):
            ai, bi, ci, di = a[i], b[i], c[i], d[i]
            line = total[i]
            for j in range(i + 1):
                line[j] += ai * a[j] + bi * b[j] + ci * c[j] + di * d[j]
        row += 4
    while row < count:
        a = rows[row]
        for i in range(size):
            for j in range(i + 1):
                total[i, j] += a[i] * a[j]
        row += 1
    return total


@njit(nogil=True, cache=True, fastmath={"contract"})
def _product(rows, matrix, out):
    count, size = rows.shape
    for row in range(count):
        line, target = rows[row], out[row]
        target[:] = 0
        k = 0
        while k + 4 <= size:
            a, b, c, d = line[k], line[k + 1], line[k + 2], line[k + 3]
            m, n, o, p = matrix[k], matrix[k + 1], matrix[k + 2], matrix[k + 3]
            for j in range(size):
                target[j] += a * m[j] + b * n[j] + c * o[j] + d * p[j]
            k += 4
        while k < size:
            for j in range(size):
                target[j] += line[k] * matrix[k, j]
            k += 1


@njit(nogil=True, cache=True)
def _inverse_root(matrix):
    # A = L Lᵀ, so A⁻¹ = L⁻ᵀ L⁻¹: the transpose of L⁻¹ is returned.
    size = len(matrix)
    lower = np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1):
            value = matrix[i, j]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = np.sqrt(value) if i == j else value / lower[j, j]
    inverse = np.zeros((size, size))
    for column in range(size):
        for i in range(column, size):
            value = 1.0 if i == column else 0.0
            for k in range(column, i):
                value -= lower[i, k] * inverse[k, column]
            inverse[i, column] = value / lower[i, i]
    return inverse.T.copy()


@njit(nogil=True, cache=True, fastmath=_FAST)
def _dot(left, right):
    """Return the inner product of two vectors."""
    value = np.float32(0)
    for k in range(len(left)):
        value += left[k] * right[k]
    return value


@njit(nogil=True, cache=True, fastmath=_FAST)
def _solve(matrix, size, right):
    """Solve A x = b in place for the leading part of a positive definite A; its lower half is read."""
    for i in range(size):
        row = matrix[i]
        for j in range(i):
            row[j] = (row[j] - _dot(row[:j], matrix[j, :j])) / matrix[j, j]
        row[i] = np.sqrt(row[i] - _dot(row[:i], row[:i]))
        right[i] = (right[i] - _dot(row[:i], right[:i])) / row[i]
    for i in range(size - 1, -1, -1):
        right[i] /= matrix[i, i]
        value = right[i]
        for j in range(i):
            right[j] -= matrix[i, j] * value


@njit(nogil=True, cache=True, fastmath=_FAST)
def solve_span(start, stop, starts, columns, confidences, whitened, found):
    """Solve rows start to stop of a factorisation with whitened others: see factors.solve_rows."""
    size = whitened.shape[1]
    matrix = np.empty((size, size), dtype=np.float32)
    right = np.empty(size, dtype=np.float32)
    for row in range(start, stop):
        first, count = starts[row], starts[row + 1] - starts[row]
        out = found[row]
        if count == 0:
            continue
        if count <= size:
            for i in range(count):
                left = whitened[columns[first + i]]
                line = matrix[i]
                for j in range(i):
                    line[j] = _dot(left, whitened[columns[first + j]])
                line[i] = _dot(left, left) + 1 / confidences[first + i]
                right[i] = 1
            _solve(matrix, count, right)
            for i in range(count):
                factor = whitened[columns[first + i]]
                for k in range(size):
                    out[k] += right[i] * factor[k]
        else:
            matrix[:] = 0
            out[:] = 0
            for i in range(count):
                factor, confidence = whitened[columns[first + i]], confidences[first + i]
                for k in range(size):
                    scaled = confidence * factor[k]
                    out[k] += scaled
                    line = matrix[k]
                    for j in range(k + 1):
                        line[j] += scaled * factor[j]
            for k in range(size):
                matrix[k, k] += 1
            _solve(matrix, size, out)


@njit(nogil=True, cache=True, fastmath=_FAST)
def fold_span(start, stop, starts, counts, books, strengths, sources, penalties, found):
    """Fold histories start to stop into sources' factors: see directed_factors.fold_in."""
    longest = len(penalties)
    matrix = np.empty((longest, longest), dtype=np.float32)
    right = np.empty(longest, dtype=np.float32)
    for row in range(start, stop):
        first, count = starts[row], counts[row]
        for i in range(count):
            left = sources[books[first + i]]
            line = matrix[i]
            for j in range(i):
                line[j] = _dot(left, sources[books[first + j]])
            line[i] = _dot(left, left) + penalties[count - 1 - i] / strengths[first + i]
            right[i] = 1
        _solve(matrix, count, right)
        out = found[row]
        for i in range(count):
            factor = sources[books[first + i]]
            for k in range(len(out)):
                out[k] += right[i] * factor[k]
