"""`recommendations serve --workers 2` as a process, and its workers; knows nothing of what is tested."""

import json
import os
import re
from pathlib import Path

import grpc
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from tests.system.processes import ServiceProcess

WORKERS = 2
# Each connection is given to a worker by the kernel's hash of its address: in so many, each has some.
_CONNECTIONS = 64


class Supervised(ServiceProcess):
    """The supervisor's process."""

    def command(self) -> list[str]:
        return [*super().command(), "--workers", str(WORKERS)]

    @property
    def workers(self) -> list[int]:
        """Process numbers of the workers, in the order of their start."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(each) for each in children.split() if is_alive(int(each))]

    def readiness(self) -> dict:
        """Return what /readyz tells; empty where nobody answers."""
        page = self.get("/readyz")[1]
        return json.loads(page) if page else {}

    def counters(self) -> dict[str, float]:
        """Return every series of /metrics that must never go back, by its name with its labels."""
        page = self.get("/metrics")[1]
        of_counters = re.findall(r"^# TYPE (\w+) (?:counter|histogram)$", page, re.MULTILINE)
        return {
            name: float(value)
            for name, value in (
                line.rsplit(" ", 1) for line in page.splitlines() if line[:1] not in ("", "#")
            )
            # What is told of each process begins anew with the process.
            if re.sub(r"(_bucket|_count|_sum)?({.*)?$", "", name) in of_counters
            and not name.startswith(("process_", "python_"))
        }

    def metric(self, name: str) -> float:
        """Add up the series of a metric."""
        page = self.get("/metrics")[1]
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if re.match(rf"{name}[ {{]", line)
        )

    def connection_to_each(self, certificates: Path) -> list[grpc.Channel]:
        """Return a connection to each worker, by the process's part of the ids of its answers."""
        found: dict[str, grpc.Channel] = {}
        for _ in range(_CONNECTIONS):
            channel = self.channel(certificates)
            answer = RecommendationServiceStub(channel).Recommend(
                pb.RecommendRequest(reader_id=1), timeout=60
            )
            process = answer.recommendation_id.partition("-")[0]
            if found.setdefault(process, channel) is not channel:
                channel.close()
            if len(found) == WORKERS:
                return list(found.values())
        raise AssertionError(f"{_CONNECTIONS} connections were all answered by {set(found)}")


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def environment_of(pid: int) -> dict[str, str]:
    """Return what a process was started with."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def mapped_files(pid: int, directory: Path) -> dict[str, dict[str, int]]:
    """Return the files of a directory that a process has mapped: kB by the name of proc(5)'s smaps."""
    files: dict[str, dict[str, int]] = {}
    current: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line[:1].islower() or line[:1].isdigit():  # 7f…-7f… r--s … path
            path = line.split(maxsplit=5)[5] if len(line.split(maxsplit=5)) == 6 else ""
            inside = path.startswith(f"{os.path.realpath(directory)}/")
            current = files.setdefault(path, {}) if inside else {}
        elif line.endswith(" kB"):
            name, _, size = line.partition(":")
            current[name] = current.get(name, 0) + int(size.split()[0])
    return files
