"""How many workers this machine, or this container, has processors for."""

import math
import os
from contextlib import suppress
from pathlib import Path

AUTO = "auto"
_CGROUPS = Path("/sys/fs/cgroup")


def worker_count(wanted: str, cgroups: Path = _CGROUPS) -> int:
    """Return the number that is meant: itself, or for "auto" one for each processor that may be used.

    Processors are those of the process's affinity, as far as the quota of its cgroup (v2 or v1) goes. Raises
    ValueError for what is neither "auto" nor a number of 1 to 256.
    """
    if wanted != AUTO:
        count = int(wanted) if wanted.isdecimal() and len(wanted) < 4 else 0
        if not 1 <= count <= 256:
            raise ValueError(f'{wanted!r} is neither "{AUTO}" nor between 1 and 256')
        return count
    usable = len(os.sched_getaffinity(0))
    quota = _quota(cgroups)
    # Half a processor more is not worth a worker; a part of one still needs a worker.
    return usable if quota is None else max(1, min(usable, math.floor(quota + 0.5)))


def _quota(cgroups: Path) -> float | None:
    """Return how many processors' time the cgroup may use; None where nothing limits it."""
    with suppress(OSError, ValueError):
        quota, period = (cgroups / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):
        micros = int((cgroups / "cpu" / "cpu.cfs_quota_us").read_text())
        period_micros = int((cgroups / "cpu" / "cpu.cfs_period_us").read_text())
        return None if micros < 0 else micros / period_micros
    return None
