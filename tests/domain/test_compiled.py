"""What serves does without scipy, and what learns has it whole."""

import subprocess
import sys

_SCRIPT = """
import sys
import service.domain.recommender
assert "scipy.linalg" not in sys.modules, "numba has imported scipy.linalg"
from scipy import linalg, sparse
from scipy.linalg import cython_blas
assert cython_blas is not None
assert linalg.solve([[2.0]], [4.0]).tolist() == [2.0]
assert sparse.eye(2).sum() == 2
"""


def test_answering_takes_no_linear_algebra_into_memory_and_learning_still_can():
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
