"""Answer grpc.health.v1 from the named conditions.

Knows nothing of what the conditions mean.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from service.handler_threads import on_pool
from service.operations.conditions import Conditions

# The names that health is told under; "" is the server as a whole. All share one status.
SERVICES = (
    "",
    "Recommendations",
    "onlinebooks.recommendations.v1.RecommendationService",
    "onlinebooks.recommendations.v1.CatalogueService",
)
# One or two do all the work; a client that does not read its stream holds one until its connection has
# reached the age that the server allows. Threads that are not needed are never started.
WATCH_THREADS = 64
# Some kB each. Clients that check health themselves keep one a connection, so as many as connections.
MAX_WATCHES = 2000

Send = Callable[[HealthCheckResponse | None], None]


class HealthService(health_pb2_grpc.HealthServicer):
    """grpc.health.v1.Health over Conditions; a context manager that gives back its threads.

    The bundled servicer writes to watchers under the lock that Check takes: measured with grpcio 1.85.1,
    one Watch that does not read its stream stops every Check and every change of status. Here no
    lock is held while a client is written to, and Watch has threads of its own.
    """

    def __init__(
        self, conditions: Conditions, services: Sequence[str] = SERVICES, *, max_watches: int = MAX_WATCHES
    ):
        self._services = frozenset(services)
        self._max_watches = max_watches
        self._lock = threading.Lock()
        self._status = HealthCheckResponse.NOT_SERVING
        self._watchers: dict[_Watcher, bool] = {}  # the open ones, and whether they follow the status
        self._watch_pool = ThreadPoolExecutor(WATCH_THREADS, thread_name_prefix="health-watch")
        self.Watch = on_pool(self._watch, self._watch_pool, non_blocking=True)
        conditions.listen(self._publish)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Give the threads back; the server has stopped by then."""
        with self._lock:
            self._watchers.clear()
        self._watch_pool.shutdown(wait=False, cancel_futures=True)

    def add_to(self, server: grpc.Server) -> None:
        """Register grpc.health.v1.Health with a server that has not started."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    def end_watches(self) -> None:
        """End every open Watch with OK; a stop with grace would wait for them until the grace is over."""
        with self._lock:
            for watcher in self._watchers:
                watcher.offer(None)

    def Check(  # noqa: N802 - protobuf's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> HealthCheckResponse:
        """Answer with the status, or NOT_FOUND for a service that the server has not."""
        if request.service not in self._services:
            context.abort(grpc.StatusCode.NOT_FOUND, "service: the server has none of that name")
        return HealthCheckResponse(status=self._status)

    def List(  # noqa: N802 - protobuf's name
        self, request: health_pb2.HealthListRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthListResponse:
        """Answer with the status of every service."""
        status = HealthCheckResponse(status=self._status)
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._services, status))

    def _publish(self, ready: bool) -> None:
        with self._lock:
            status = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
            if status != self._status:
                self._status = status
                for watcher, follows in self._watchers.items():
                    if follows:
                        watcher.offer(HealthCheckResponse(status=status))

    def _watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext, send: Send
    ) -> None:
        # The protocol keeps the stream of an unknown service open; nothing more will come on it.
        follows = request.service in self._services
        watcher = _Watcher(send, self._watch_pool)
        with self._lock:
            full = len(self._watchers) >= self._max_watches
            if not full:
                self._watchers[watcher] = follows
                status = self._status if follows else HealthCheckResponse.SERVICE_UNKNOWN
        if full:
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self._max_watches} watches are open, no more are taken"
            )
        if not context.add_callback(lambda: self._forget(watcher)):
            self._forget(watcher)
        watcher.begin(HealthCheckResponse(status=status))

    def _forget(self, watcher: "_Watcher") -> None:
        with self._lock:
            self._watchers.pop(watcher, None)


class _Watcher:
    """One open Watch: the newest response waits until the client has taken the one before."""

    def __init__(self, send: Send, pool: ThreadPoolExecutor):
        self._send = send
        self._pool = pool
        self._lock = threading.Lock()
        self._waiting: list[HealthCheckResponse | None] = []
        self._sending = True  # until begin() is through

    def begin(self, response: HealthCheckResponse) -> None:
        """Send the first response, and those offered meanwhile, from this thread."""
        self._send(response)
        self._send_waiting()

    def offer(self, response: HealthCheckResponse | None) -> None:
        """Send it soon, instead of one that still waits; None ends the stream. Does not wait."""
        with self._lock:
            self._waiting = [response]
            if self._sending:
                return
            self._sending = True
        self._pool.submit(self._send_waiting)

    def _send_waiting(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._sending = False
                    return
                response = self._waiting.pop()
            self._send(response)
