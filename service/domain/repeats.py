"""Finds events that are there already; knows nothing of what events mean."""

import numpy as np
from numpy.typing import NDArray


def repeated(
    reader_ids: NDArray[np.int64],
    times: NDArray[np.int64],
    positions: NDArray[np.int32],
    codes: NDArray[np.uint8],
) -> NDArray[np.bool_]:
    """Tell which events have the reader, time, book and code of one before them; they lie by reader and time.

    Such an event has no effect on a history. Without them, folding needs no times.
    """
    found = np.zeros(len(times), dtype=np.bool_)
    as_before = (reader_ids[1:] == reader_ids[:-1]) & (times[1:] == times[:-1])
    # Those of one instant alone can be there twice, and few are of one.
    rows = np.flatnonzero(np.append(as_before, False) | np.append(False, as_before))
    if len(rows):
        instants = np.cumsum(~np.append(False, as_before))[rows]
        order = np.lexsort((codes[rows], positions[rows], instants))  # stable: the first one stays first
        columns = (column[order] for column in (instants, positions[rows], codes[rows]))
        same = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
        found[rows[order[1:][same]]] = True
    return found
