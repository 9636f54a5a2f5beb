"""Collects the broken rules of a request, all of them; knows the rules that several requests share."""

from collections.abc import Sequence

from service.domain.books import LARGEST_ID, quoted
from service.domain.errors import InvalidInput, Violation

LARGEST_PAGE = 100
DEFAULT_PAGE = 10
MOST_CATEGORIES = 20

# A batch of 10,000 wrong entries is one mistake made 10,000 times: naming a hundred is plenty.
_MOST_VIOLATIONS = 100


class Check:
    """The violations found so far in one request."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def refuse(self, field: str, value: object, rule: str) -> None:
        """Note that a field's value breaks a rule."""
        self.violations.append(Violation(field, f"{quoted(value)} {rule}"))

    def between(self, field: str, value: float, least: int, most: int) -> None:
        """Note a number outside the bounds, both of them allowed."""
        if not least <= value <= most:
            self.refuse(field, value, f"is not between {least} and {most}")

    def identifier(self, field: str, value: int) -> None:
        """Note a number that cannot be an id."""
        if value < 1:
            self.refuse(field, value, f"is not between 1 and {LARGEST_ID}")

    def page_size(self, value: int, default: int = DEFAULT_PAGE, largest: int = LARGEST_PAGE) -> int:
        """Return the page size that is meant: 0 stands for the default."""
        self.between("page_size", value, 0, largest)
        return value or default

    def at_most(self, field: str, values: Sequence[object], most: int, least: int = 0) -> None:
        """Note a list that is too long or too short."""
        if not least <= len(values) <= most:
            self.refuse(field, len(values), f"entries are not between {least} and {most}")

    @property
    def is_full(self) -> bool:
        """Tell whether looking for more is of no use."""
        return len(self.violations) >= _MOST_VIOLATIONS

    def done(self) -> None:
        """Raise InvalidInput if anything was noted."""
        if self.violations:
            raise InvalidInput(self.violations)
