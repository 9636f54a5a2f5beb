"""Clients that ask again and again, each over its own connection; knows nothing of what happens meanwhile."""

import threading
from typing import Self

import grpc
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from tests.system.processes import wait_until
from tests.workers.supervised import Supervised
from tests.world import Certificates

CLIENTS = 8


class Load:
    """Clients with one call at a time each, from entering to leaving the block."""

    def __init__(self, service: Supervised, certificates: Certificates) -> None:
        self._service, self._certificates = service, certificates
        self.answered = [0] * CLIENTS
        self.failed: list[list[str]] = [[] for _ in range(CLIENTS)]
        self.served_by = [""] * CLIENTS  # the latest process, by its part of the answers' ids
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int = 20) -> None:
        """Wait until each client has had so many more answers."""
        before = list(self.answered)
        wait_until(
            lambda: all(now >= then + count for now, then in zip(self.answered, before, strict=True)),
            "answers",
        )

    def _ask(self, number: int) -> None:
        with self._service.channel(self._certificates.directory) as channel:
            stub = RecommendationServiceStub(channel)
            while not self._ending.is_set():
                try:
                    # Where a worker has died, gRPC takes the connection up again: with another.
                    request = pb.RecommendRequest(reader_id=number + 1)
                    answer = stub.Recommend(request, timeout=60, wait_for_ready=True)
                    self.served_by[number] = answer.recommendation_id.partition("-")[0]
                    self.answered[number] += 1
                except grpc.RpcError as error:
                    self.failed[number].append(f"{error.code()}: {error.details()}")
