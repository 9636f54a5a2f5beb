"""Single values as files hold them, turned into the domain's types; knows no file and no rule of theirs.

A value is a text (CSV), what JSON has, or what Parquet has; None and "" are absent. Parquet's moments arrive
as datetimes without a zone, in UTC.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import orjson

from service.domain.books import quoted
from service.importing.columns import Column
from service.importing.problems import BadValue

# ".0": what spreadsheets and data frames make of whole numbers in a column that has gaps.
_WHOLE = re.compile(r"[+-]?[0-9]{1,25}(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
# Above this a float no longer tells one whole number from the next.
_EXACT_FLOAT = 2.0**53

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_UTC = datetime(1970, 1, 1)  # Parquet's moments come without a zone, in UTC
MICROSECOND = timedelta(microseconds=1)


def is_absent(value: object) -> bool:
    """Tell whether a field is empty."""
    return value is None or value == ""


def require(columns: Sequence[Column], row: Sequence[object]) -> None:
    """Raise BadValue where a row has no value in a required column."""
    for column, value in zip(columns, row, strict=True):
        if (value is None or value == "") and column.required:
            raise BadValue(column.name, "", "is missing")


def whole_number(column: str, value: object) -> int:
    """Read a whole number; raises BadValue."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value.partition(".")[0])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        return int(value)
    raise BadValue(column, shown(value), "is not a whole number")


def number(column: str, value: object) -> float:
    """Read a number; raises BadValue."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise BadValue(column, shown(value), "is not a number")


def text(column: str, value: object) -> str:
    """Read a text, numbers as they are written; raises BadValue."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadValue(column, shown(value), "is not a text")


def texts(column: str, value: object) -> tuple[str, ...]:
    """Read several texts, from a list or from one text: a JSON list, or with ";" between; raises BadValue."""
    if is_absent(value):
        return ()
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError):  # else it is a text that only looks like a list
            value = orjson.loads(value)
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(";"))
    if isinstance(value, list):
        return tuple(text(column, part) for part in value)
    raise BadValue(column, shown(value), "is neither a text nor a list of texts")


def moment(column: str, value: object) -> int:
    """Read a moment as microseconds since 1970 UTC; raises BadValue."""
    if isinstance(value, datetime):
        return (value - EPOCH_UTC) // MICROSECOND
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise BadValue(
                column,
                shown(value),
                "is neither RFC 3339, such as 2026-05-01T12:00:00Z, nor seconds since 1970",
            ) from None
        if parsed.tzinfo is None:
            raise BadValue(column, shown(value), 'has no time zone; end it with "Z" where it is UTC')
        return (parsed - EPOCH) // MICROSECOND
    try:
        return whole_number(column, value) * 1_000_000
    except BadValue:
        pass
    try:
        return round(number(column, value) * 1_000_000)
    except (BadValue, ValueError, OverflowError):  # round() refuses NaN and infinity
        raise BadValue(column, shown(value), "is not a moment in time") from None


def shown(value: object) -> str:
    """Show a value in an error, cut where it is long."""
    if isinstance(value, str):
        return quoted(value)
    written = repr(value) if isinstance(value, (int, float, list, dict)) and _is_small(value) else ""
    if not written or len(written) > 60:
        return f"a {type(value).__name__}"
    return quoted(written)[1:-1]


def _is_small(value: object) -> bool:
    # Writing out a number of a million digits, or a nested document, takes long or is refused.
    if isinstance(value, int):
        return value.bit_length() <= 200
    return isinstance(value, float) or len(value) <= 5  # type: ignore[arg-type]
