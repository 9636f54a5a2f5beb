"""The mistakes and absences that the domain names itself; knows no status codes."""

from collections.abc import Sequence
from dataclasses import dataclass


class DomainError(Exception):
    """Anything the domain refuses or cannot do."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the field by its path in the request, and the value and the rule in words."""

    field: str
    description: str


class InvalidInput(DomainError):
    """A request that breaks rules, all of them listed."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{each.field}: {each.description}" for each in self.violations[:3]))

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidInput":
        """Make the error for a single violation."""
        return cls([Violation(field, description)])


class NotFound(DomainError):
    """A thing that was asked for by key and is not there."""

    def __init__(self, kind: str, key: object) -> None:
        self.kind, self.key = kind, key
        super().__init__(f"{kind} {key} does not exist")


class Unavailable(DomainError):
    """Something needed is away for now; asking again after `retry_seconds` makes sense."""

    def __init__(self, message: str, retry_seconds: float) -> None:
        self.retry_seconds = retry_seconds
        super().__init__(message)
