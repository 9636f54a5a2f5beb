"""Several real worker processes behind one port."""

import json
import os
import re
import signal
import subprocess
import threading

import grpc
import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from tests.system.processes import ServiceProcess, environment_with
from tests.system.processes import run as run_command
from tests.tools import require_tool, wait_until
from tests.world import settings_for


class Supervised(ServiceProcess):
    """`recommendations serve --workers 2`, and its workers."""

    def command(self) -> list[str]:
        return [*super().command(), "--workers", "2"]

    @property
    def workers(self) -> list[int]:
        """Process numbers of the workers."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(path) as children:  # noqa: PTH123
            return [int(each) for each in children.read().split()]


@pytest.fixture
def settings(shop, certificates) -> dict[str, str]:
    described = settings_for(shop, certificates, drain_seconds=0.2, grace_seconds=5).describe()
    return {key: value for key, value in described.items() if value}


@pytest.fixture
def supervised(settings, tmp_path):
    with Supervised(settings, tmp_path) as service:
        yield service.wait_ready()


def metric(service: ServiceProcess, name: str) -> float:
    """Add up the series of a metric."""
    page = service.get("/metrics")[1]
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if re.match(rf"{name}[ {{]", line))


class Load:
    """Clients that each ask again and again over a connection of their own."""

    def __init__(self, service: ServiceProcess, certificates, clients: int = 8) -> None:
        self.answered, self.failed = [0] * clients, [0] * clients
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(service, certificates, number))
            for number in range(clients)
        ]

    def _ask(self, service: ServiceProcess, certificates, number: int) -> None:
        with service.channel(certificates.directory) as channel:
            stub = RecommendationServiceStub(channel)
            while not self._ending.is_set():
                try:
                    stub.Recommend(pb.RecommendRequest(reader_id=number + 1), timeout=10)
                    self.answered[number] += 1
                except grpc.RpcError:
                    self.failed[number] += 1

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        wait_until(lambda: all(count > 20 for count in self.answered))
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for_more(self, count: int = 50) -> None:
        before = list(self.answered)
        wait_until(lambda: all(now >= then + count for now, then in zip(self.answered, before, strict=True)))


def test_two_workers_answer_on_one_port_and_show_one_page(supervised, certificates):
    first, second = supervised.workers
    cores = os.sched_getaffinity(0)
    pinned = [os.sched_getaffinity(each) for each in (first, second)]
    assert all(len(each) == 1 for each in pinned)
    assert len(set().union(*pinned)) == min(2, len(cores))
    page = json.loads(supervised.get("/readyz")[1])
    assert page["ready"] is True
    assert [each["ready"] for each in page["workers"].values()] == [True, True]
    with Load(supervised, certificates) as load:
        load.wait_for_more()
    assert sum(load.failed) == 0
    assert metric(supervised, "recommendations_answers_total") == sum(load.answered)
    assert metric(supervised, "recommendations_workers") == 4  # wanted and running
    text = supervised.get("/metrics")[1]
    assert 'process_resident_memory_bytes{worker="1"}' in text
    promtool = require_tool("promtool")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert supervised.stop() == 0
    assert not any(os.path.exists(f"/proc/{each}") for each in (first, second))  # noqa: PTH110


def test_a_killed_worker_costs_the_calls_in_flight_on_it_alone(supervised, certificates):
    victim, other = supervised.workers
    with Load(supervised, certificates) as load:
        before = metric(supervised, "recommendations_answers_total")
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(supervised.workers) == 2 and victim not in supervised.workers)
        load.wait_for_more()
        wait_until(lambda: supervised.get("/readyz")[0] == 200)
        load.wait_for_more()
        assert metric(supervised, "recommendations_answers_total") > before  # none of it is forgotten
    # Each client has one call at a time: no more than one of each was in flight.
    assert all(count <= 1 for count in load.failed), load.failed
    assert metric(supervised, "recommendations_worker_restarts_total") == 1
    assert other in supervised.workers
    assert supervised.stop() == 0


def test_workers_end_with_a_supervisor_that_is_killed(supervised):
    workers = supervised.workers
    supervised.process.kill()
    supervised.process.wait(10)
    wait_until(lambda: not any(is_alive(each) for each in workers))


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as status:  # noqa: PTH123
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_that_keep_dying_end_the_service_with_one_line(settings, supervised, tmp_path):
    # Whoever starts anew finds a database that is not what it was.
    database = settings["RECOMMENDATIONS_DATABASE_URL"].removeprefix("sqlite:///")
    os.rename(database, f"{database}.away")  # noqa: PTH104
    first, second = supervised.workers
    os.kill(first, signal.SIGKILL)
    assert supervised.wait_exit() != 0
    assert "has died 5 times in a row" in supervised.stderr
    assert not is_alive(second)


def test_wrong_settings_are_told_once(settings, tmp_path):
    settings["RECOMMENDATIONS_DATABASE_URL"] = f"sqlite:///{tmp_path}/nowhere.db"
    ended = run_command("serve", "--workers", "2", settings=settings, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("does not exist; run `recommendations migrate`") == 1


def test_a_port_in_use_is_told_once_also_where_it_could_be_shared(settings, supervised, tmp_path):
    settings["RECOMMENDATIONS_PORT"] = str(supervised.port)
    ended = run_command("serve", "--workers", "2", settings=settings, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count(f"RECOMMENDATIONS_PORT: {supervised.port}: cannot listen") == 1


def test_a_number_of_workers_that_is_none_is_wrong_usage(settings, tmp_path):
    ended = run_command("serve", "--workers", "many", settings=settings, cwd=tmp_path)
    assert ended.returncode == 2
    assert "'many' is neither \"auto\" nor between 1 and 256" in ended.stderr


def test_nothing_of_grpc_is_imported_by_the_supervisor():
    script = "import sys, service.workers.supervisor; print('grpc' in sys.modules)"
    said = subprocess.run(
        [os.sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment_with({}),
    )
    assert said.stdout.strip() == "False"
