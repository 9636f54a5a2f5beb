"""Follow what the load client inside the cluster prints, and tell how many calls a drill cost."""

import json
import math
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.kubectl import Failed, wait_until


@dataclass
class Outcome:
    """What clients saw during a drill."""

    drill: str
    # Calls in flight on a pod that is killed, at most one for each of the client's threads.
    most_failed: int = 0
    # Whether the database goes away, or a pod is killed: writes are then tried again by whoever made them.
    tries_again: bool = False
    calls: int = 0
    retries: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0
    error: str = ""

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def complaint(self) -> str:
        """What did not come out as it must; empty where all did."""
        if self.error:
            return self.error
        unforeseen = [each for each in self.failures if not each.startswith("UNAVAILABLE")]
        if unforeseen or self.failed > self.most_failed:
            return f"{self.failed} calls failed: {dict(self.failures)}"
        if self.retries and not self.tries_again:
            return f"{self.retries} times a write was tried again"
        return ""

    @property
    def p99(self) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[math.ceil(len(ordered) * 0.99) - 1] if ordered else math.nan


class Observed:
    """The lines of the load client, one a second, as they come."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            ["kubectl", "--namespace", "shop", "logs", "--follow", "--tail=-1", "job/load"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._follow, daemon=True).start()
        wait_until(lambda: self._lines, "the load client's first calls", 90)

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self._lines.append(json.loads(line))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def writes(self) -> dict[str, int]:
        """How many writes were acknowledged, and how often one was tried again."""
        return self._lines[-1]["writes"]

    def mark(self) -> int:
        """Return how many lines there are; a drill is from a mark to the next."""
        return len(self._lines)

    def settle(self) -> None:
        """Wait for a line that began after this call."""
        now = self.mark()
        wait_until(lambda: self.mark() >= now + 2, "the load client's next lines", 30)

    def since(self, mark: int, outcome: Outcome) -> None:
        """Add the calls since a mark to an outcome; a drill without calls is no drill."""
        lines = self._lines[mark:]
        for line in lines:
            outcome.calls += len(line["ms"])
            outcome.milliseconds += line["ms"]
            outcome.failures.update(line["failures"])
        if not outcome.calls:
            raise Failed("the load client made no call")
        outcome.retries = lines[-1]["writes"]["retries"] - self._lines[mark - 1]["writes"]["retries"]
