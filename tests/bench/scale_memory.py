"""What memory a process has, as the kernel counts it; from proc(5). Knows nothing of what it is for."""

from dataclasses import dataclass
from pathlib import Path

_MIB = 1024  # KiB


@dataclass(frozen=True)
class Memory:
    """Resident memory of one process in MiB."""

    rss: float  # all of it
    pss: float  # with what is shared counted in parts
    private: float  # what nobody else can share
    file: float  # mapped files, which the page cache may take back

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """Read what a process has now."""
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return cls(
            kib["Rss"] / _MIB,
            kib["Pss"] / _MIB,
            kib["Anonymous"] / _MIB,
            (kib["Rss"] - kib["Anonymous"]) / _MIB,
        )
