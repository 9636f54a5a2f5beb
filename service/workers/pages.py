"""What the admin endpoint shows of all workers together; starts and ends none."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Self

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from service.workers.merging import families_of, merged
from service.workers.worker import Worker

# Probes, scrapes and the supervisor's own looks do not wait for each other, should a worker hang.
_PAGES_AT_ONCE = 4


class Pages:
    """Readiness and metrics of so many workers; a context manager that ends the threads that ask them."""

    def __init__(self, count: int) -> None:
        """Begin without a worker; `workers` is filled by whoever starts them."""
        self.workers: dict[int, Worker] = {}
        self.restart_count = 0
        self._count = count
        self._ended: list[Metric] = []  # what dead workers had counted
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(_PAGES_AT_ONCE * count, "admin-pages")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def describe(self) -> dict[str, Any]:
        """Return {"ready": bool, "workers": {number: what it says of itself}}; ready when all are."""
        pages = {worker.number: page for worker, page in self._asked("/readyz")}
        workers = {}
        for number in range(self._count):
            page = pages.get(number)
            if page is not None:
                workers[str(number)] = json.loads(page)
            else:
                reason = "does not answer" if number in pages else "is not running"
                workers[str(number)] = {"ready": False, "reason": reason}
        return {"ready": all(each["ready"] for each in workers.values()), "workers": workers}

    def look(self) -> None:
        """Take note of every worker's metrics as they are now."""
        with self._lock:
            self._look()

    def bury(self, worker: Worker) -> None:
        """Take a worker out that has died; what it had counted when it was last looked at stays."""
        with self._lock:
            del self.workers[worker.number]
            if worker.metrics_page is not None:
                self._ended = merged({}, [self._ended, families_of(worker.metrics_page)])

    def metrics(self) -> list[Metric]:
        """Return the metrics of all workers together, and how many there are."""
        # One at a time: a page that is older than the last one shown would let counters go back.
        with self._lock:
            self._look()
            workers = list(self.workers.values())
            pages = {each.number: families_of(each.metrics_page) for each in workers if each.metrics_page}
            metrics = merged(pages, [self._ended])
        state = GaugeMetricFamily(
            "recommendations_workers", "Worker processes: wanted, and answering.", labels=["state"]
        )
        state.add_metric(["wanted"], self._count)
        state.add_metric(["answering"], sum(each.is_answering for each in workers))
        restarts = CounterMetricFamily(
            "recommendations_worker_restarts",
            "Workers started in place of dead ones.",
            value=self.restart_count,
        )
        return [*metrics, state, restarts]

    def _look(self) -> None:
        for worker, page in self._asked("/metrics"):
            if page is not None:
                worker.metrics_page, worker.unanswered = page, 0
            # One that is still starting may be busy; once it serves it answers, seen before or not.
            elif worker.metrics_page is not None or worker.is_serving.is_set():
                worker.unanswered += 1

    def _asked(self, path: str) -> list[tuple[Worker, str | None]]:
        workers = list(self.workers.values())
        pages = self._threads.map(lambda worker: worker.page(path), workers)
        return list(zip(workers, pages, strict=True))
