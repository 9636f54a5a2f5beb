"""Starts workers, keeps them running, answers for all of them on the admin port; never imports gRPC."""

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event, Lock
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.failure import Failure
from service.operations.admin import AdminServer
from service.settings import Settings, variable
from service.workers.merging import families_of, merged
from service.workers.ports import reserve
from service.workers.worker import Worker

_log = logging.getLogger("recommendations.workers")

_LOOK_SECONDS = 0.05
# Counters of a worker that is killed are kept as they were seen last.
_SCRAPE_SECONDS = 2.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
# A worker that dies within this time has died quickly; so many in a row do not mend themselves.
_QUICK_SECONDS = 10.0
_MOST_QUICK_DEATHS = 5
# Draining is bounded by the workers' own settings; behind this they hang.
_SPARE_SECONDS = 10.0


class Supervisor:
    """Workers on one gRPC port, and what the admin endpoint shows of them."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], count: int) -> None:
        """Prepare so many workers with these settings; `environment` is what they are started with."""
        self._settings, self._environment, self._count = settings, dict(environment), count
        self._cores = sorted(os.sched_getaffinity(0))
        self._workers: dict[int, Worker] = {}
        self._last: dict[int, list[Metric]] = {}
        self._ended: list[list[Metric]] = []
        self._restarts = 0
        self._lock = Lock()
        self._fetchers = ThreadPoolExecutor(count, "admin-pages")

    def run(self, stop: Event, hurry: Event, on_ready: Callable[["Supervisor", str], object]) -> int:
        """Run until told to stop; returns the exit code.

        `on_ready` is called once, when every worker serves, with what the first one said of its shop. Raises
        a Failure where a port cannot be had, or workers keep dying.
        """
        settings = self._settings
        with ExitStack() as stack:
            stack.callback(self._fetchers.shutdown, wait=False, cancel_futures=True)
            held = stack.enter_context(reserve(settings.host, settings.port, "PORT"))
            self.port = held.getsockname()[1]
            self.plaintext_port = None
            if settings.plaintext_port is not None:
                plaintext = reserve("127.0.0.1", settings.plaintext_port, "PLAINTEXT_PORT")
                self.plaintext_port = stack.enter_context(plaintext).getsockname()[1]
            registry = CollectorRegistry()
            registry.register(_Metrics(self.metrics))
            admin = stack.enter_context(AdminServer(settings.admin_host, settings.admin_port, self, registry))
            self.admin_port = admin.port
            stack.callback(self._drain, hurry)
            # The first alone: it writes the mirror that all map, and says what is wrong with the settings.
            first = self._start(0)
            while not first.is_serving.wait(_LOOK_SECONDS):
                if stop.is_set():
                    return 0
                if (code := first.process.poll()) is not None:
                    return code or 1  # it has said why
            for number in range(1, self._count):
                self._start(number)
            self._watch(stop, lambda: on_ready(self, first.shop))
        return 0

    def _start(self, number: int) -> Worker:
        places = {
            variable("port"): str(self.port),
            variable("admin_host"): "127.0.0.1",
            variable("admin_port"): "0",
        }
        if self.plaintext_port is not None:
            places[variable("plaintext_port")] = str(self.plaintext_port)
        core = self._cores[number % len(self._cores)]
        worker = self._workers[number] = Worker(number, core, self._environment | places)
        return worker

    def _watch(self, stop: Event, on_ready: Callable[[], object]) -> None:
        quick_deaths = dict.fromkeys(range(self._count), 0)
        restart_at: dict[int, float] = {}
        is_told = False
        scraped_at = time.monotonic()
        while not stop.wait(_LOOK_SECONDS):
            now = time.monotonic()
            for number, worker in list(self._workers.items()):
                if worker.process.poll() is None:
                    continue
                self._bury(worker)
                was_quick = worker.lived_seconds < _QUICK_SECONDS
                quick_deaths[number] = quick_deaths[number] + 1 if was_quick else 0
                if quick_deaths[number] >= _MOST_QUICK_DEATHS:
                    raise Failure(
                        f"worker {number} has died {_MOST_QUICK_DEATHS} times in a row within"
                        f" {_QUICK_SECONDS:g} s of its start, last with exit code"
                        f" {worker.process.returncode}; giving up"
                    )
                pause = min(_FIRST_PAUSE_SECONDS * 2 ** quick_deaths[number], _LONGEST_PAUSE_SECONDS)
                restart_at[number] = now + pause
                _log.error(
                    "worker %d ended with exit code %d; another one is started in %.1f s",
                    number,
                    worker.process.returncode,
                    pause,
                )
            for number in [each for each, due in restart_at.items() if due <= now]:
                del restart_at[number]
                self._restarts += 1
                self._start(number)
            if not is_told and all(each.is_serving.is_set() for each in self._workers.values()):
                is_told = True
                on_ready()
            if now - scraped_at >= _SCRAPE_SECONDS:
                scraped_at = now
                self._scrape()

    def _bury(self, worker: Worker) -> None:
        with self._lock:
            del self._workers[worker.number]
            if last := self._last.pop(worker.number, None):
                self._ended = [merged({}, [*self._ended, last])]

    def _drain(self, hurry: Event) -> None:
        """Let every worker end as it would alone; they wait for their own calls, all at the same time."""
        workers = list(self._workers.values())
        settings = self._settings
        patience = settings.drain_seconds + settings.grace_seconds + settings.max_call_seconds
        deadline = time.monotonic() + patience + _SPARE_SECONDS
        for worker in workers:
            worker.process.send_signal(signal.SIGTERM)
        is_hurried = False
        while any(worker.process.poll() is None for worker in workers):
            if hurry.wait(_LOOK_SECONDS) and not is_hurried:
                is_hurried = True
                for worker in workers:
                    worker.process.send_signal(signal.SIGTERM)
            elif is_hurried:
                time.sleep(_LOOK_SECONDS)
            if time.monotonic() > deadline:
                for worker in workers:
                    worker.process.kill()

    # What the admin endpoint shows

    def describe(self) -> dict[str, Any]:
        """Return {"ready": bool, "workers": {number: what it says of itself}}; ready when all are."""
        pages = self._pages("/readyz")
        workers = {}
        for number in range(self._count):
            page = pages.get(number)
            workers[str(number)] = json.loads(page) if page else {"ready": False, "conditions": {}}
        return {"ready": all(each["ready"] for each in workers.values()), "workers": workers}

    def metrics(self) -> Iterable[Metric]:
        """Yield the metrics of all workers together, and how many there are."""
        self._scrape()
        with self._lock:
            yield from merged(self._last, self._ended)
        running = sum(each.process.poll() is None for each in list(self._workers.values()))
        workers = GaugeMetricFamily(
            "recommendations_workers", "Worker processes, wanted and running.", labels=["state"]
        )
        workers.add_metric(["wanted"], self._count)
        workers.add_metric(["running"], running)
        yield workers
        yield CounterMetricFamily(
            "recommendations_worker_restarts", "Workers started in place of dead ones.", value=self._restarts
        )

    def _scrape(self) -> None:
        pages = self._pages("/metrics")
        with self._lock:
            for number, page in pages.items():
                if number in self._workers:
                    self._last[number] = families_of(page)

    def _pages(self, path: str) -> dict[int, str]:
        workers = list(self._workers.values())
        pages = self._fetchers.map(lambda worker: worker.page(path), workers)
        return {worker.number: page for worker, page in zip(workers, pages, strict=True) if page is not None}


class _Metrics(Collector):
    """What a registry asks for metrics."""

    def __init__(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics()

    def describe(self) -> Iterable[Metric]:
        return ()  # asked at registration, when no worker runs yet
