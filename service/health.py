"""Answer grpc.health.v1 from the named conditions.

Knows nothing of what the conditions mean, and shares no thread with the calls that it vouches for.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from service.conditions import Conditions

__all__ = ["SERVICES", "Conditions", "HealthService"]

# The names that health is told under; "" is the server as a whole. All share one status.
SERVICES = (
    "",
    "Recommendations",
    "onlinebooks.recommendations.v1.RecommendationService",
    "onlinebooks.recommendations.v1.CatalogueService",
)
# An answer takes microseconds, but a client that is slow to send its request holds a thread.
ANSWER_THREADS = 4
# Each writes to one watcher at a time; one that does not read holds it for DELIVERY_SECONDS.
DELIVERY_THREADS = 4
# A status is five bytes, which a healthy client takes within milliseconds.
DELIVERY_SECONDS = 5.0
# An open Watch takes some kB here; a client needs one a connection.
MAX_WATCHES = 1000


class HealthService(health_pb2_grpc.HealthServicer):
    """grpc.health.v1.Health over Conditions; a context manager that gives back its threads.

    The bundled servicer writes to watchers under the lock that Check takes: measured with grpcio 1.85.1,
    one Watch that does not read its stream stops every Check and every change of status. Here
    watchers are written to by threads of their own, and one that takes nothing is cancelled.
    """

    def __init__(
        self,
        conditions: Conditions,
        services: Sequence[str] = SERVICES,
        *,
        max_watches: int = MAX_WATCHES,
        delivery_seconds: float = DELIVERY_SECONDS,
    ):
        self._services = frozenset(services)
        self._max_watches = max_watches
        self._delivery_seconds = delivery_seconds
        self._lock = threading.Lock()
        self._status = HealthCheckResponse.NOT_SERVING
        self._watchers: dict[_Watcher, bool] = {}  # open ones, and whether they follow the status
        self._answers = ThreadPoolExecutor(ANSWER_THREADS, thread_name_prefix="health")
        self._deliveries = ThreadPoolExecutor(DELIVERY_THREADS, thread_name_prefix="health-watch")
        # grpc._server looks for these attributes on the behaviour; a bound method takes none.
        self.Check = _on_pool(self._check, self._answers)
        self.List = _on_pool(self._list, self._answers)
        self.Watch = _on_pool(self._watch, self._answers, non_blocking=True)
        conditions.listen(self._publish)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Give the threads back; the server has stopped by then."""
        with self._lock:
            self._watchers.clear()
        self._answers.shutdown(wait=False, cancel_futures=True)
        self._deliveries.shutdown(wait=False, cancel_futures=True)

    def add_to(self, server: grpc.Server) -> None:
        """Register grpc.health.v1.Health with a server that has not started."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    def end_watches(self) -> None:
        """End every open Watch with OK: a stop with grace would wait for them to the end of the grace."""
        with self._lock:
            for watcher in self._watchers:
                watcher.offer(None)

    def _publish(self, ready: bool) -> None:
        with self._lock:
            status = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
            if status != self._status:
                self._status = status
                for watcher, follows in self._watchers.items():
                    if follows:
                        watcher.offer(HealthCheckResponse(status=status))

    def _check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> HealthCheckResponse:
        if request.service not in self._services:
            context.abort(grpc.StatusCode.NOT_FOUND, "service: not one of this server's")
        return HealthCheckResponse(status=self._status)

    def _list(self, _request: object, _context: grpc.ServicerContext) -> health_pb2.HealthListResponse:
        status = HealthCheckResponse(status=self._status)
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._services, status))

    def _watch(
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.ServicerContext,
        send: Callable[[HealthCheckResponse | None], None],
    ) -> None:
        watcher = _Watcher(send, context.cancel, self._deliveries, self._delivery_seconds)
        with self._lock:
            full = len(self._watchers) >= self._max_watches
            if not full:
                # The protocol keeps the stream of an unknown service open; nothing more comes on it.
                follows = request.service in self._services
                self._watchers[watcher] = follows
                watcher.offer(
                    HealthCheckResponse(
                        status=self._status if follows else HealthCheckResponse.SERVICE_UNKNOWN
                    )
                )
        if full:
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self._max_watches} watches are open, no more are taken"
            )
        if not context.add_callback(lambda: self._forget(watcher)):
            self._forget(watcher)

    def _forget(self, watcher: "_Watcher") -> None:
        with self._lock:
            self._watchers.pop(watcher, None)


class _Watcher:
    """One open Watch: keeps the newest response until the client has taken the one before."""

    def __init__(
        self,
        send: Callable[[HealthCheckResponse | None], None],
        cancel: Callable[[], Any],
        deliveries: ThreadPoolExecutor,
        delivery_seconds: float,
    ):
        self._send = send
        self._cancel = cancel
        self._deliveries = deliveries
        self._delivery_seconds = delivery_seconds
        self._lock = threading.Lock()
        self._pending: list[HealthCheckResponse | None] = []
        self._delivering = False

    def offer(self, response: HealthCheckResponse | None) -> None:
        """Send it soon, in place of any that waits; None ends the stream. Never waits."""
        with self._lock:
            self._pending = [response]
            if self._delivering:
                return
            self._delivering = True
        self._deliveries.submit(self._deliver)

    def _deliver(self) -> None:
        while True:
            with self._lock:
                if not self._pending:
                    self._delivering = False
                    return
                response = self._pending.pop()
            patience = threading.Timer(self._delivery_seconds, self._cancel)
            patience.daemon = True
            patience.start()
            try:
                self._send(response)
            finally:
                patience.cancel()


def _on_pool(behaviour: Callable, pool: ThreadPoolExecutor, *, non_blocking: bool = False) -> Callable:
    def call(*arguments: Any) -> Any:
        return behaviour(*arguments)

    call.experimental_thread_pool = pool  # type: ignore[attr-defined]
    call.experimental_non_blocking = non_blocking  # type: ignore[attr-defined]
    return call
