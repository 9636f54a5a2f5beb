"""Clients that read without a pause and write without giving up, and count what they were told.

Knows nothing of databases, nor of what happens to the services meanwhile.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self

import grpc
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as catalogue_pb
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.world import READER_COUNT, Client, refusal_of, wait_until

MARK = "drill-"  # what the ids of a drill's interactions begin with
READERS, WRITERS = 3, 2
BATCH = 50
# Two writers offer some thousand interactions a second, and leave the cores to the services.
_PAUSE_SECONDS = 0.02
# A read is answered from memory; so long it takes only where something hangs.
_LONGEST_READ_SECONDS = 5.0
_LONGEST_WRITE_SECONDS = 20.0  # the service's own limit is shorter
_NO_SERVICE_PAUSE_SECONDS = 0.1  # where nobody is there who could say when to come again
# A client that comes sooner than it was asked to is the harder one, and shows sooner what has mended.
_LONGEST_PAUSE_SECONDS = 1.0
_REQUEST_ID = "x-request-id"  # in whatever the service itself answers
_FIRST_READER = 1_000_000
_READERS_A_WRITER = 1_000_000


class Refusal(NamedTuple):
    """A write that was not acknowledged: how long it took to learn that, and when to try again."""

    seconds: float
    retry_seconds: float | None
    by_service: bool  # else nobody was there to tell, or died before they could


class Load:
    """Readers and writers, each a thread with a connection, from entering to leaving the block.

    Every interaction is of another reader and book, so memory must count each one once, as the table does.
    """

    def __init__(
        self,
        connect_reader: Sequence[Callable[[], Client]],
        connect_writer: Callable[[], Client],
        books: Sequence[int],
    ) -> None:
        """Prepare readers, one for each way to connect in turn, and writers; they write of these books."""
        self._connect_reader, self._connect_writer, self.books = connect_reader, connect_writer, books
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.reads = 0
        self.failed_reads: list[str] = []
        self.longest_gap_seconds = 0.0
        self.strategies: Counter[int] = Counter()
        self.acknowledged: set[str] = set()
        self.refusals: list[Refusal] = []
        self.failed_writes: list[str] = []
        self._threads: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(READERS + WRITERS, "client")
        for number, connect in zip(range(READERS), itertools.cycle(self._connect_reader), strict=False):
            self._threads.append(self._pool.submit(self._read, connect, number))
        self._threads += [self._pool.submit(self._write, number) for number in range(WRITERS)]
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for thread in self._threads:
            thread.result()

    def until_acknowledged(self, count: int, seconds: float = 60) -> None:
        """Wait until so many more interactions have been acknowledged."""
        wanted = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= wanted, seconds, f"acknowledging {count} interactions")

    def go_on(self, seconds: float) -> None:
        """Let them work for so long; fail where a client has died meanwhile."""
        until = time.monotonic() + seconds
        wait_until(lambda: self._broken() or time.monotonic() >= until, seconds + 5)
        assert not self._broken()

    def _broken(self) -> bool:
        return any(thread.done() for thread in self._threads)

    def _read(self, connect: Callable[[], Client], number: int) -> None:
        client = connect()
        reads = itertools.cycle(self._calls(client, number))
        answered_at = time.monotonic()
        while not self._stop.is_set():
            name, call = next(reads)
            try:
                answer = call()
            except grpc.RpcError as error:
                self.failed_reads.append(f"{name}: {error.code().name} {error.details()}")
                continue
            now = time.monotonic()
            with self._lock:
                self.reads += 1
                self.longest_gap_seconds = max(self.longest_gap_seconds, now - answered_at)
                if isinstance(answer, pb.RecommendResponse):
                    self.strategies[answer.strategy] += 1
            answered_at = now

    def _calls(self, client: Client, number: int) -> list[tuple[str, Callable[[], object]]]:
        shop, bound = client.recommendations, _LONGEST_READ_SECONDS
        reader_ids = itertools.cycle(range(1 + number, READER_COUNT, READERS))
        book_ids = itertools.cycle(self.books)
        return [
            (
                "Recommend",
                lambda: shop.Recommend(pb.RecommendRequest(reader_id=next(reader_ids)), timeout=bound),
            ),
            (
                "SimilarBooks",
                lambda: shop.SimilarBooks(pb.SimilarBooksRequest(book_id=next(book_ids)), timeout=bound),
            ),
            ("PopularBooks", lambda: shop.PopularBooks(pb.PopularBooksRequest(), timeout=bound)),
            (
                "GetBook",
                lambda: client.catalogue.GetBook(
                    catalogue_pb.GetBookRequest(book_id=next(book_ids)), timeout=bound
                ),
            ),
        ]

    def _write(self, writer: int) -> None:
        client = self._connect_writer()
        for first in itertools.count(step=BATCH):
            batch = [self._interaction(writer, number) for number in range(first, first + BATCH)]
            # A good client: what was not acknowledged is sent again, under the same ids.
            while not self._acknowledged(client, batch):
                asked = self.refusals[-1].retry_seconds or _NO_SERVICE_PAUSE_SECONDS
                if self._stop.wait(min(asked, _LONGEST_PAUSE_SECONDS)):
                    return
            if self._stop.wait(_PAUSE_SECONDS):
                return

    def _interaction(self, writer: int, number: int) -> pb.Interaction:
        reader, book = divmod(number, len(self.books))
        return pb.Interaction(
            interaction_id=f"{MARK}{writer}-{number}",
            reader_id=_FIRST_READER + writer * _READERS_A_WRITER + reader,
            book_id=self.books[book],
            type=pb.INTERACTION_TYPE_READ,
        )

    def _acknowledged(self, client: Client, batch: list[pb.Interaction]) -> bool:
        request = pb.RecordInteractionsRequest(interactions=batch)
        began = time.monotonic()
        try:
            answer = client.recommendations.RecordInteractions(request, timeout=_LONGEST_WRITE_SECONDS)
        except grpc.RpcError as error:
            seconds = time.monotonic() - began
            refused = refusal_of(error)
            with self._lock:
                by_service = any(key == _REQUEST_ID for key, _ in error.trailing_metadata() or ())
                self.refusals.append(Refusal(seconds, refused.retry_seconds, by_service))
                if refused.code is not grpc.StatusCode.UNAVAILABLE:
                    self.failed_writes.append(f"{refused.code.name} {refused.message}")
            return False
        assert answer.recorded_count + answer.duplicate_count == len(batch)
        with self._lock:
            self.acknowledged.update(each.interaction_id for each in batch)
        return True
