"""A database that goes bad under a running service: writes say so, answers go on, nothing stored is lost."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as catalogue
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.book_pb2 import Book

from tests.wire.batches import NEWCOMER, a_batch, an_interaction, reads
from tests.world import Client, refused, wait_until

RECOMMEND = pb.RecommendRequest(reader_id=NEWCOMER)
# Where the file format keeps its write version; SQLite reads a file of a version above 2 and never writes it.
# https://www.sqlite.org/fileformat.html#file_format_version_numbers
WRITE_VERSION_OFFSET = 18

_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another_process(file: Path) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", _LOCK, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout.readline() == b"locked\n"
            yield
        finally:
            other.stdin.close()


def set_write_version(file: Path, version: int) -> None:
    with file.open("r+b") as header:
        header.seek(WRITE_VERSION_OFFSET)
        header.write(bytes([version]))


def writes(client: Client) -> list:
    return [
        lambda: client.recommendations.RecordInteractions(reads(1, "refused")),
        lambda: client.recommendations.ForgetReader(pb.ForgetReaderRequest(reader_id=NEWCOMER)),
        lambda: client.catalogue.UpsertBooks(
            catalogue.UpsertBooksRequest(books=[Book(id=10**9, title="New", categories=["mystery"])])
        ),
        lambda: client.catalogue.DeleteBooks(catalogue.DeleteBooksRequest(book_ids=[1])),
    ]


def answers(client: Client) -> tuple:
    """Return what a reader of the service sees of its data."""
    books = client.recommendations.Recommend(RECOMMEND).books
    return list(books), client.catalogue.GetBook(catalogue.GetBookRequest(book_id=1)).book.title


def test_locked_database_refuses_writes_and_answers_go_on(start):
    service = start()
    client = service.client
    client.recommendations.RecordInteractions(a_batch(an_interaction("before")))
    stored, seen = service.shop.counts(), answers(client)
    with locked_by_another_process(service.shop.file):
        pending = client.recommendations.RecordInteractions.future(reads(1, "refused"))
        while not pending.done():
            assert answers(client) == seen
        refusal = refused(pending.result)
        assert refusal.code is grpc.StatusCode.UNAVAILABLE
        assert refusal.reason == "TEMPORARILY_UNAVAILABLE"
        assert 0 < refusal.retry_seconds <= 60
        assert "database" in refusal.message
        assert service.shop.counts() == stored
    assert client.recommendations.RecordInteractions(reads(1, "refused")).recorded_count == 1
    again = client.recommendations.RecordInteractions(a_batch(an_interaction("before")))
    assert again.duplicate_count == 1
    assert service.shop.counts()[1] == stored[1] + 1


def test_with_a_journal_a_locked_database_costs_no_interaction(start, tmp_path):
    journal = tmp_path / "journal"
    service = start(journal_directory=journal, follow_seconds=0.1)
    stub, stored = service.client.recommendations, service.shop.counts()[1]
    with locked_by_another_process(service.shop.file):
        assert stub.RecordInteractions(reads(5), timeout=30).recorded_count == 5
        assert stub.RecordInteractions(reads(5), timeout=30).duplicate_count == 5
        metrics = service.metrics()
        assert metrics["recommendations_journaled_interactions_total"] == 5
        assert metrics["recommendations_journal_bytes"] > 0
        assert service.shop.counts()[1] == stored
    wait_until(lambda: service.metrics()["recommendations_replayed_interactions_total"] == 5)
    wait_until(lambda: service.metrics()["recommendations_journal_bytes"] == 0)
    assert service.shop.counts()[1] == stored + 5
    assert list(journal.iterdir()) == []
    assert stub.RecordInteractions(reads(5)).duplicate_count == 5


def test_answers_go_on_while_more_writes_wait_than_there_are_threads(start):
    """Whoever imports a large file holds the database for minutes."""
    service = start(handler_threads=2)
    stub = service.client.recommendations
    with locked_by_another_process(service.shop.file):
        pending = [stub.RecordInteractions.future(reads(1, f"waiting-{n}")) for n in range(6)]
        asked = time.monotonic()
        assert stub.Recommend(RECOMMEND).books
        answered_after = time.monotonic() - asked
        still_waiting = sum(not each.done() for each in pending)
    assert still_waiting >= 5, f"the answer took {answered_after:.1f} s"
    codes = {each.code() for each in pending}
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}


def test_every_read_is_answered_while_a_flood_of_writes_waits(start):
    service = start()
    stub = service.client.recommendations
    with locked_by_another_process(service.shop.file):
        pending = [stub.RecordInteractions.future(reads(1, f"flood-{n}"), timeout=60) for n in range(100)]
        answered = [stub.Recommend.future(RECOMMEND, timeout=30) for _ in range(60)]
        assert all(each.result().books for each in answered)
        while not all(each.done() for each in pending):
            assert stub.Recommend(RECOMMEND, timeout=30).books
    codes = [each.code() for each in pending]
    assert set(codes) <= {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    refusals = [refused(each.result) for each in pending if each.code() is grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert {each.message for each in refusals} == {"the server is busy: 48 changes at a time is its limit"}
    assert all(each.retry_seconds > 0 for each in refusals)
    assert (
        service.metrics()['recommendations_refused_calls_total{limit="writes"}']
        == codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
        > 0
    )
    assert stub.RecordInteractions(reads(1, "after")).recorded_count == 1


def test_read_only_database_is_served_and_refuses_writes_until_it_can_be_written_again(start, shop):
    set_write_version(shop.file, 3)
    service = start(shop)
    seen = answers(service.client)
    for write in writes(service.client):
        refusal = refused(write)
        assert refusal.code is grpc.StatusCode.UNAVAILABLE
        assert refusal.retry_seconds > 0
        assert answers(service.client) == seen
    set_write_version(shop.file, 2)
    for write in writes(service.client):
        write()
    assert shop.counts()[0] == len(list(service.app.recommender.catalogue.books()))


@pytest.fixture
def file_size_limit():
    """Set how large files may become for this process, as a full disk would; lifted at the end."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int | None) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before if size is None else (size, before[1]))

    yield limit
    limit(None)
    signal.signal(signal.SIGXFSZ, handler)


def test_full_disk_refuses_writes_whole_and_keeps_what_was_acknowledged(start, shop, file_size_limit):
    service = start(shop)
    stub = service.client.recommendations
    assert stub.RecordInteractions(reads(50, "before")).recorded_count == 50
    stored, seen = shop.counts(), answers(service.client)
    file_size_limit(64 * 1024)
    try:
        refusal = refused(stub.RecordInteractions, reads(5000, "refused"))
        during = answers(service.client)
    finally:
        file_size_limit(None)
    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    assert refusal.retry_seconds > 0
    assert during == seen
    assert shop.counts() == stored
    assert stub.RecordInteractions(reads(5000, "refused")).recorded_count == 5000
    assert stub.RecordInteractions(reads(50, "before")).duplicate_count == 50
    assert shop.counts()[1] == stored[1] + 5000


def test_file_that_is_taken_away_refuses_writes_instead_of_losing_them(start, shop):
    service = start(shop)
    seen = answers(service.client)
    moved = shop.file.rename(shop.file.with_suffix(".moved"))
    for write in writes(service.client):
        refusal = refused(write)
        assert refusal.code is grpc.StatusCode.UNAVAILABLE
        assert refusal.retry_seconds > 0
    assert answers(service.client) == seen
    moved.rename(shop.file)
    assert service.client.recommendations.RecordInteractions(reads(3)).recorded_count == 3


def test_trouble_with_the_database_is_told_to_the_operator_once(start, shop, caplog):
    caplog.set_level("INFO")
    service = start(shop)
    moved = shop.file.rename(shop.file.with_suffix(".moved"))
    for number in range(3):
        refused(service.client.recommendations.RecordInteractions, reads(1, f"n{number}"))
    moved.rename(shop.file)
    service.client.recommendations.RecordInteractions(reads(1))
    told = [record.getMessage() for record in caplog.records if str(shop.file) in record.getMessage()]
    assert len(told) == 2
    assert "is not the file that was opened any more" in told[0]
    assert "can be used again" in told[1]


def test_writers_from_many_connections_lose_nothing(start):
    service = start()
    clients = [service.connect(service.certificates.pair("client")) for _ in range(4)]
    before = service.shop.counts()[1]
    pending = [
        client.recommendations.RecordInteractions.future(reads(20, f"{number}-{round_}"))
        for number, client in enumerate(clients)
        for round_ in range(10)
    ]
    assert sum(each.result().recorded_count for each in pending) == 800
    assert service.shop.counts()[1] == before + 800
    with sqlite3.connect(service.shop.file) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_reader_who_is_forgotten_while_their_interactions_arrive_does_not_come_back_by_half(start, shop):
    """Memory and database agree in the end, whichever of the two came last."""
    service = start(shop)
    stub = service.client.recommendations
    pending = []
    for number in range(20):  # together fewer than the changes that are taken at a time
        pending.append(
            stub.RecordInteractions.future(a_batch(an_interaction(f"n{number}", book_id=number + 1)))
        )
        pending.append(stub.ForgetReader.future(pb.ForgetReaderRequest(reader_id=NEWCOMER)))
    for each in pending:
        each.result()
    in_memory = answers(service.client)[0]
    assert answers(start(shop).client)[0] == in_memory
