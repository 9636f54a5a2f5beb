"""Workers that die, hang, or keep dying; and a supervisor that dies."""

import os
import signal
import threading

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from tests.system.processes import PATIENCE_SECONDS, wait_until
from tests.workers.load import Load
from tests.workers.supervised import is_alive

pytestmark = pytest.mark.timeout(4 * PATIENCE_SECONDS)


def is_replaced(supervised, victim: int) -> bool:
    return (
        len(supervised.workers) == 2
        and victim not in supervised.workers
        and supervised.get("/readyz")[0] == 200
    )


def test_a_killed_worker_costs_the_calls_in_flight_on_it_alone(supervised, certificates):
    victim, other = supervised.workers
    with Load(supervised, certificates) as load:
        before = list(load.served_by)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: is_replaced(supervised, victim), "another worker")
        load.wait_for_more()
    dead = set(before).difference(load.served_by)
    for process, failures in zip(before, load.failed, strict=True):
        # One call at a time: that one, and what the client sends before it notices that the connection ended.
        assert len(failures) <= (3 if process in dead else 0), load.failed
        assert all("UNAVAILABLE" in each for each in failures)
    assert supervised.metric("recommendations_worker_restarts_total") == 1
    assert other in supervised.workers
    assert "worker 0 was ended by SIGKILL; another one is started" in supervised.stderr
    assert supervised.stop() == 0


def test_it_is_not_ready_while_a_worker_is_missing(supervised):
    victim = supervised.workers[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: supervised.get("/readyz")[0] == 503, "not ready")
    wait_until(lambda: is_replaced(supervised, victim), "another worker")


def test_counters_never_go_back_while_workers_die(supervised, certificates):
    pages: list[dict[str, float]] = []
    ending = threading.Event()

    def scrape() -> None:
        while not ending.is_set():
            pages.append(supervised.counters())

    # Two at a time, as replicas of Prometheus are.
    scrapers = [threading.Thread(target=scrape) for _ in range(2)]
    with Load(supervised, certificates) as load:
        scrapers[0].start()
        for victim in supervised.workers:
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: is_replaced(supervised, victim), "another worker")
            load.wait_for_more()
        ending.set()
        scrapers[0].join()
    seen: dict[str, float] = {}
    for page in pages:
        assert page["recommendations_worker_restarts_total"] >= seen.get(
            "recommendations_worker_restarts_total", 0
        )
        for name, value in page.items():
            assert value >= seen.get(name, 0), name
        assert seen.keys() <= page.keys()
        seen = page
    assert sum(value for name, value in seen.items() if name.startswith("recommendations_answers_total")) > 0
    assert seen["recommendations_worker_restarts_total"] == 2


def test_a_worker_that_hangs_is_told_of_and_replaced(supervised):
    hanging, other = supervised.workers
    os.kill(hanging, signal.SIGSTOP)
    wait_until(lambda: supervised.get("/readyz")[0] == 503, "not ready")
    assert supervised.readiness()["workers"]["0"] == {"ready": False, "reason": "does not answer"}
    assert supervised.readiness()["workers"]["1"]["ready"] is True
    assert supervised.get("/livez") == (200, "ok\n")
    assert 'recommendations_workers{state="answering"} 1.0' in supervised.get("/metrics")[1]
    wait_until(lambda: is_replaced(supervised, hanging), "another worker", 2 * PATIENCE_SECONDS)
    assert other in supervised.workers
    assert "worker 0 hangs and is killed" in supervised.stderr


def test_workers_that_keep_dying_end_the_service_with_one_line(supervised):
    second = supervised.workers[1]

    def kill_every_worker_but_the_second() -> bool:
        for each in supervised.workers:
            if each != second:
                os.kill(each, signal.SIGKILL)
        return "giving up" in supervised.stderr or supervised.process.poll() is not None

    wait_until(kill_every_worker_but_the_second, "giving up")
    assert supervised.wait_exit() == 1
    assert supervised.stderr.splitlines()[-1] == (
        "recommendations: worker 0 was ended by SIGKILL, for the 5th time soon after its start; giving up"
    )
    assert "Traceback" not in supervised.stderr
    assert not is_alive(second)


def test_workers_end_in_order_after_a_supervisor_that_is_killed(supervised, certificates):
    workers = supervised.workers
    go_on = threading.Event()

    def requests():
        for reader_id in range(1, 5):
            yield pb.RecommendManyRequest(request=pb.RecommendRequest(reader_id=reader_id))
            go_on.wait(PATIENCE_SECONDS)

    with supervised.channel(certificates.directory) as channel:
        answers = RecommendationServiceStub(channel).RecommendMany(requests(), timeout=PATIENCE_SECONDS)
        assert next(answers).response.books
        supervised.process.kill()
        supervised.wait_exit()
        go_on.set()
        # What is in flight ends well: nobody answers probes any more, so nothing new comes.
        assert len(list(answers)) == 3
    wait_until(lambda: not any(is_alive(each) for each in workers), "the end of the workers")
    assert "Traceback" not in supervised.stderr
