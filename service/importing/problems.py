"""What is wrong with files and rows, and what came of an import; knows no file format and no rules."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from service.failure import Failure

# Enough to see what kind of mistake it is; the rest is counted by rule.
LISTED_PROBLEMS = 20


class ImportFailed(Failure):
    """A file that was not imported, and nothing of it stored: one line that names the file and the place."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that breaks a rule, the first that it breaks."""

    place: int  # line of the file; in Parquet, which has none, number of the row
    column: str  # empty where it is the row as a whole
    value: str  # as errors show it, texts in quotes; empty where there is none
    rule: str
    unit: str = "line"

    def __str__(self) -> str:
        where = f"{self.unit} {self.place}"
        if self.column:
            where += f", column {self.column}"
        return f"{where}: {self.value} {self.rule}" if self.value else f"{where}: {self.rule}"

    @property
    def kind(self) -> str:
        """Column and rule without the value: what rows that are wrong in the same way share."""
        return f"column {self.column}: {self.rule}" if self.column else self.rule


class BadValue(Exception):
    """A value of a row that cannot be read, or breaks a rule; the value as errors show it."""

    def __init__(self, column: str, value: str, rule: str) -> None:
        self.column, self.value, self.rule = column, value, rule
        super().__init__(column, value, rule)

    def at(self, place: int, unit: str) -> BadRow:
        """Name the row."""
        return BadRow(place, self.column, self.value, self.rule, unit)


@dataclass(slots=True)
class ImportReport:
    """What came of a file; rows = stored + repeated + skipped."""

    rows: int = 0
    # New in the database.
    stored: int = 0
    # Books that replaced one of the same id; interactions whose id was there already, which changed nothing.
    repeated: int = 0
    # Bad rows, left out because that was asked for.
    skipped: int = 0
    # The first of them, and all of them counted by column and rule.
    problems: list[BadRow] = field(default_factory=list)
    skipped_by_rule: Counter[str] = field(default_factory=Counter)

    def count(self, stored: int, repeated: int) -> None:
        """Note rows that the database took."""
        self.rows += stored + repeated
        self.stored += stored
        self.repeated += repeated

    def refuse(self, bad_rows: Iterable[BadRow], path: Path, *, skip_bad: bool) -> None:
        """Note bad rows, or raise ImportFailed for the first where they are not to be skipped."""
        for bad in bad_rows:
            if not skip_bad:
                raise ImportFailed(f"{path}, {bad}")
            self.rows += 1
            self.skipped += 1
            self.skipped_by_rule[bad.kind] += 1
            if len(self.problems) < LISTED_PROBLEMS:
                self.problems.append(bad)
