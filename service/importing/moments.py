"""Many moments in UTC, all written alike, read at once; knows no column and leaves all others to `values`."""

from collections.abc import Sequence

import numpy as np

# As most programs write them: to the second, the millisecond or the microsecond. "d" is any digit.
_LAYOUTS = {
    len(layout): np.frombuffer(layout.encode(), dtype=np.uint8)
    for seconds in ("dddd-dd-ddTdd:dd:dd", "dddd-dd-ddTdd:dd:dd.ddd", "dddd-dd-ddTdd:dd:dd.dddddd")
    for layout in (f"{seconds}Z", f"{seconds}+00:00")
}
_DIGIT, _ZERO = ord("d"), ord("0")
_PARTS = (4, 2, 2, 2, 2, 2)  # digits of year, month, day, hour, minute, second; what follows is the fraction


def moments_of_one_layout(column: Sequence[str]) -> list[int] | None:
    """Read texts as microseconds since 1970 UTC; None where they are not all of one known layout."""
    layout = _LAYOUTS.get(len(column[0]))
    joined = "".join(column)
    if layout is None or not joined.isascii() or set(map(len, column)) != {len(layout)}:
        return None
    # Places in rows, moments in columns: what follows works on whole rows.
    cells = np.frombuffer(joined.encode(), dtype=np.uint8).reshape(len(column), -1).T
    is_digit = layout == _DIGIT
    digits = np.ascontiguousarray(cells[is_digit]) - _ZERO  # what is below "0" wraps round
    if (cells[~is_digit] != layout[~is_digit, np.newaxis]).any() or (digits > 9).any():
        return None
    parts, first = [], 0
    for width in (*_PARTS, len(digits) - sum(_PARTS)):
        part = np.zeros(len(column), dtype=np.int64)
        for row in digits[first : first + width]:
            part = part * 10 + row
        parts.append(part)
        first += width
    year, month, day, hour, minute, second, fraction = parts
    if (year < 1).any() or (month < 1).any() or (month > 12).any() or (day < 1).any():
        return None
    if (hour > 23).any() or (minute > 59).any() or (second > 59).any():
        return None
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + day - 1
    if (days >= (months + 1).astype("datetime64[D]").astype(np.int64)).any():  # as on 31 June
        return None
    micros = fraction * 10 ** (6 - (len(digits) - sum(_PARTS)))
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    return (seconds * 1_000_000 + micros).tolist()
