"""The compiler, without what this program does not use of it; knows nothing of what is compiled."""

import sys
from typing import Any

# numba imports scipy.linalg where there is one, for linear algebra in compiled code, of which we have none: a
# tenth of the time to ready and 17 MB of every process. To an import, None says that there is none. scipy
# itself can be imported as ever afterwards.
_LINEAR_ALGEBRA = "scipy.linalg.cython_blas"
if _LINEAR_ALGEBRA not in sys.modules:
    sys.modules[_LINEAR_ALGEBRA] = None  # type: ignore[assignment]
    try:
        import numba.np.arraymath  # noqa: F401 - it is this part of numba that looks
    finally:
        del sys.modules[_LINEAR_ALGEBRA]

from numba import njit, types  # noqa: E402 - not before
from numba.core.cgutils import get_or_insert_function  # noqa: E402
from numba.extending import intrinsic as _intrinsic  # noqa: E402

# Its types do not know that what is compiled calls it without the context.
intrinsic: Any = _intrinsic

__all__ = ["get_or_insert_function", "intrinsic", "njit", "types"]
