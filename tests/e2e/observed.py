"""Follow what the load client inside the cluster prints, and tell how many calls a drill cost."""

import json
import math
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.kubectl import Failed, wait_until

# Lines are of a second each, and some time on their way.
_LINE_SECONDS = 3.0


@dataclass
class Outcome:
    """What clients saw during a drill."""

    drill: str
    calls: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0
    error: str = ""
    allowed: bool = False  # calls in flight on a pod that is killed

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def p99(self) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[math.ceil(len(ordered) * 0.99) - 1] if ordered else math.nan


class Observed:
    """The lines of the load client, as they come."""

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

    def settle(self) -> float:
        """Wait for the lines of everything until now; return the time of now."""
        now = time.time()
        wait_until(lambda: self._lines[-1]["time"] > now + 0.5, "the load client's next line", 30)
        return now

    def between(self, outcome: Outcome, start: float, end: float) -> None:
        """Add the calls of a span of time to an outcome; a drill without calls is no drill."""
        for line in self._lines:
            if start < line["time"] <= end + _LINE_SECONDS:
                outcome.calls += len(line["ms"])
                outcome.milliseconds += line["ms"]
                outcome.failures.update(line["failures"])
        if not outcome.calls:
            raise Failed("the load client made no call")
