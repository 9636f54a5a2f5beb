"""The domain's broken rules in terms of a file's row; states no rule itself."""

from collections.abc import Sequence

from service.domain.books import quoted
from service.domain.errors import Violation
from service.importing import values
from service.importing.columns import Column
from service.importing.problems import BadValue


def broken_rule(
    violation: Violation, checked: object, columns: Sequence[Column], row: Sequence[object]
) -> BadValue:
    """Say which column of a row broke which rule, with the value as the file has it."""
    name, _, index = violation.field.partition("[")
    value = getattr(checked, name)
    if index:
        value = value[int(index.removesuffix("]"))]
    elif isinstance(value, tuple):
        value = len(value)
    before, named, rule = violation.description.partition(f"{quoted(value)} ")
    if before or not named:
        return BadValue(name, "", violation.description)
    raw = row[[column.name for column in columns].index(name)]
    if not values.is_absent(raw) and not isinstance(getattr(checked, name), tuple):
        # The domain counts microseconds; a file has moments in its own notation.
        return BadValue(name, values.shown(raw), rule)
    return BadValue(name, quoted(value), rule)
