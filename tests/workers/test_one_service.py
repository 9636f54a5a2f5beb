"""Several workers are one service: one port, one readiness, one page of metrics, one key."""

import os
import re
import subprocess
from pathlib import Path

import grpc
import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from tests.system.processes import PATIENCE_SECONDS, ServiceProcess, wait_until
from tests.tools import require_tool
from tests.workers.load import Load
from tests.workers.supervised import environment_of, mapped_files

pytestmark = pytest.mark.timeout(4 * PATIENCE_SECONDS)


def test_workers_answer_on_one_port_each_on_a_core_of_its_own(supervised, certificates):
    first, second = supervised.workers
    # Of every thread, those that began before anything else could be told included.
    pinned = [
        {frozenset(os.sched_getaffinity(int(task))) for task in os.listdir(f"/proc/{each}/task")}  # noqa: PTH208
        for each in (first, second)
    ]
    assert [len(each) for each in pinned] == [1, 1]
    cores = set().union(*pinned)
    assert all(len(core) == 1 for core in cores)
    assert len(cores) == min(2, len(os.sched_getaffinity(0)))
    assert len(supervised.connection_to_each(certificates.directory)) == 2


def test_it_is_ready_when_all_workers_are_and_says_of_each(supervised):
    readiness = supervised.readiness()
    assert readiness["ready"] is True
    assert [each["ready"] for each in readiness["workers"].values()] == [True, True]
    assert readiness["workers"]["1"]["conditions"]["model"] == {"value": True, "reason": ""}


def test_one_page_of_metrics_counts_what_all_workers_did(supervised, certificates):
    with Load(supervised, certificates) as load:
        load.wait_for_more()
    assert not any(load.failed), load.failed
    assert supervised.metric("recommendations_answers_total") == sum(load.answered)
    text = supervised.get("/metrics")[1]
    assert 'recommendations_workers{state="wanted"} 2.0' in text
    assert 'recommendations_workers{state="answering"} 2.0' in text
    # All see the same shop, which is not twice as large for it.
    assert re.search(r"^recommendations_catalogue_books 729\.0$", text, re.MULTILINE)
    assert {'process_resident_memory_bytes{worker="0"}', 'process_resident_memory_bytes{worker="1"}'} <= {
        line.partition(" ")[0] for line in text.splitlines()
    }
    checked = subprocess.run(
        [require_tool("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_a_page_goes_on_at_another_worker_and_no_answer_has_the_id_of_another(supervised, certificates):
    here, there = (
        RecommendationServiceStub(each) for each in supervised.connection_to_each(certificates.directory)
    )
    first = here.Recommend(pb.RecommendRequest(reader_id=7, page_size=5), timeout=60)
    following = pb.RecommendRequest(reader_id=7, page_size=5, page_token=first.next_page_token)
    second = there.Recommend(following, timeout=60)
    assert len(second.books) == 5
    assert not {book.book_id for book in first.books} & {book.book_id for book in second.books}
    assert first.recommendation_id.partition("-")[0] != second.recommendation_id.partition("-")[0]


def test_the_key_of_page_tokens_is_neither_in_the_environment_nor_in_the_arguments(supervised, settings):
    given = environment_of(supervised.process.pid)
    for number in supervised.workers:
        changed = {key for key, value in environment_of(number).items() if given.get(key) != value}
        assert changed <= {f"RECOMMENDATIONS_{name}" for name in ("PORT", "ADMIN_HOST", "ADMIN_PORT")}
        arguments = Path(f"/proc/{number}/cmdline").read_bytes().decode().split("\0")
        assert [each for each in arguments[1:] if each] == arguments[1:6]
        assert re.fullmatch(r"-m service serve --worker-line \d+", " ".join(arguments[1:6]))


def test_what_one_worker_stores_the_other_knows_soon(supervised, certificates):
    here, there = (
        RecommendationServiceStub(each) for each in supervised.connection_to_each(certificates.directory)
    )
    read = here.Recommend(pb.RecommendRequest(reader_id=11, page_size=1), timeout=60).books[0].book_id
    interaction = pb.Interaction(
        interaction_id="from-here", reader_id=11, book_id=read, type=pb.INTERACTION_TYPE_READ
    )
    here.RecordInteractions(pb.RecordInteractionsRequest(interactions=[interaction]), timeout=60)
    request = pb.RecommendRequest(reader_id=11, page_size=100)
    wait_until(
        lambda: read not in {book.book_id for book in there.Recommend(request, timeout=60).books}, "following"
    )


def test_model_and_mirror_are_shared_between_workers_not_copied(supervised, shop, certificates):
    for channel in supervised.connection_to_each(certificates.directory):
        stub = RecommendationServiceStub(channel)
        for reader_id in range(1, 101):
            stub.Recommend(pb.RecommendRequest(reader_id=reader_id), timeout=60)
    for directory in (shop.directory / "mirror", shop.directory / "models"):
        first, second = (mapped_files(each, directory) for each in supervised.workers)
        assert first
        assert first.keys() == second.keys()
        for path, kilobytes in [*first.items(), *second.items()]:
            # No page is a process's own: none was written to, none was copied.
            assert (path, kilobytes["Private_Dirty"], kilobytes["Anonymous"]) == (path, 0, 0)
    resident, proportional = (
        sum(sizes[name] for pid in supervised.workers for sizes in mapped_files(pid, shop.directory).values())
        for name in ("Rss", "Pss")
    )
    # Half of what is resident in two processes is there only once; some pages only one of them has used.
    assert proportional < 0.75 * resident


def test_nothing_of_grpc_is_in_the_supervisors_memory(supervised):
    assert "cygrpc" not in Path(f"/proc/{supervised.process.pid}/maps").read_text()
    assert "cygrpc" in Path(f"/proc/{supervised.workers[0]}/maps").read_text()


def test_one_worker_is_the_process_itself(settings, tmp_path):
    class Alone(ServiceProcess):
        def command(self) -> list[str]:
            return [*super().command(), "--workers", "1"]

    with Alone(settings, tmp_path) as service:
        service.wait_ready()
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
        assert children.read_text() == ""
        assert '"workers"' not in service.get("/readyz")[1]
        assert service.stop() == 0


def test_the_plaintext_port_is_shared_too(start):
    service = start(RECOMMENDATIONS_PLAINTEXT_PORT="0").wait_ready()
    with grpc.insecure_channel(f"127.0.0.1:{service.plaintext_port}") as channel:
        grpc.channel_ready_future(channel).result(PATIENCE_SECONDS)
    assert service.stop() == 0
