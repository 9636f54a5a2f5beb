"""Starts workers on one port, keeps them running, ends them together; never imports gRPC."""

import logging
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from threading import Event

from prometheus_client import CollectorRegistry, Metric

from service.failure import Failure
from service.operations.admin import AdminServer
from service.security.page_token_key import new_key
from service.settings import Settings, variable
from service.workers.pages import Pages
from service.workers.ports import reserve
from service.workers.worker import Worker

_log = logging.getLogger("recommendations.workers")

_POLL_SECONDS = 0.05
# Counters of a worker that is killed are kept as they were seen last.
_LOOK_SECONDS = 2.0
# Looks in a row, each some seconds: whoever answers none of them hangs, and would do so for ever.
_MOST_UNANSWERED = 10
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
# A worker died quickly within this time, or before it served; so many in a row do not mend themselves.
_QUICK_SECONDS = 10.0
_MOST_QUICK_DEATHS = 5
# Draining is bounded by the workers' own settings; who is still there behind this hangs.
_SPARE_SECONDS = 10.0


class Supervisor:
    """Workers on one gRPC port; one admin port that answers for all of them."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], count: int) -> None:
        """Prepare so many workers with these settings; `environment` is what they are started with."""
        self._settings, self._environment, self._count = settings, dict(environment), count
        self._cores = _cores(count)
        self._page_token_key = new_key()
        self._quick_deaths = dict.fromkeys(range(count), 0)
        self._restart_at: dict[int, float] = {}

    def run(self, stop: Event, hurry: Event, on_ready: Callable[["Supervisor", str], object]) -> int:
        """Run until told to stop; returns the exit code.

        `on_ready` is called once, when every worker serves, with what the first one said of its shop. Raises
        a Failure where a port cannot be had, or workers keep dying.
        """
        settings = self._settings
        with ExitStack() as stack:
            held = stack.enter_context(reserve(settings.host, settings.port, "PORT"))
            self.port = held.getsockname()[1]
            self.plaintext_port = None
            if settings.plaintext_port is not None:
                plaintext = reserve("127.0.0.1", settings.plaintext_port, "PLAINTEXT_PORT")
                self.plaintext_port = stack.enter_context(plaintext).getsockname()[1]
            self._pages = stack.enter_context(Pages(self._count))
            registry = CollectorRegistry()
            registry.register(_Metrics(self._pages))
            admin = AdminServer(settings.admin_host, settings.admin_port, self._pages, registry)
            self.admin_port = stack.enter_context(admin).port
            stack.callback(self._drain, hurry)
            # The first alone: it writes the mirror that all map, and says what is wrong with the settings.
            first = self._start(0)
            while not first.is_serving.wait(_POLL_SECONDS):
                if stop.is_set():
                    return 0
                if (code := first.process.poll()) is not None:
                    if code < 0:
                        raise Failure(f"worker 0 was ended by {_name_of(-code)} while it started")
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
        worker = Worker(number, self._cores[number], self._environment | places, self._page_token_key)
        self._pages.workers[number] = worker
        return worker

    def _watch(self, stop: Event, on_ready: Callable[[], object]) -> None:
        workers = self._pages.workers
        is_told = False
        looked_at = time.monotonic()
        while not stop.wait(_POLL_SECONDS):
            for worker in list(workers.values()):
                if worker.process.poll() is not None:
                    self._bury(worker)
            for number in [each for each, due in self._restart_at.items() if due <= time.monotonic()]:
                del self._restart_at[number]
                self._pages.restart_count += 1
                self._start(number)
            if not is_told and all(each.is_serving.is_set() for each in workers.values()):
                is_told = True
                on_ready()
            if time.monotonic() - looked_at >= _LOOK_SECONDS:
                looked_at = time.monotonic()
                self._pages.look()
                for worker in workers.values():
                    if worker.unanswered >= _MOST_UNANSWERED:
                        _log.error("worker %d hangs and is killed", worker.number)
                        worker.process.kill()

    def _bury(self, worker: Worker) -> None:
        """Take note of a death, and when another worker is to be started; too many raise a Failure."""
        self._pages.bury(worker)
        number, code = worker.number, worker.process.returncode
        ended = f"was ended by {_name_of(-code)}" if code < 0 else f"ended with exit code {code}"
        was_quick = not worker.is_serving.is_set() or worker.lived_seconds < _QUICK_SECONDS
        deaths = self._quick_deaths[number] = self._quick_deaths[number] + 1 if was_quick else 0
        if deaths >= _MOST_QUICK_DEATHS:
            raise Failure(f"worker {number} {ended}, for the {deaths}th time soon after its start; giving up")
        pause = min(_FIRST_PAUSE_SECONDS * 2**deaths, _LONGEST_PAUSE_SECONDS)
        self._restart_at[number] = time.monotonic() + pause
        _log.error("worker %d %s; another one is started in %.1f s", number, ended, pause)

    def _drain(self, hurry: Event) -> None:
        """Let every worker end as it would alone; they wait for their own calls, all at the same time."""
        workers = list(self._pages.workers.values())
        deadline = (
            time.monotonic() + self._settings.drain_seconds + self._settings.grace_seconds + _SPARE_SECONDS
        )
        _signal(workers, signal.SIGTERM)
        is_hurried = False
        while remaining := [each for each in workers if each.process.poll() is None]:
            if hurry.is_set() and not is_hurried:
                is_hurried = True
                _signal(remaining, signal.SIGTERM)
            if time.monotonic() > deadline:
                _log.error("workers %s have not ended and are killed", [each.number for each in remaining])
                _signal(remaining, signal.SIGKILL)
                deadline += _SPARE_SECONDS
            time.sleep(_POLL_SECONDS)


class _Metrics:
    """What a registry collects from."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def collect(self) -> Iterable[Metric]:
        return self._pages.metrics()


def _cores(count: int) -> list[int | None]:
    """Return a core for each worker.

    Where there are more cores than workers, they are drawn: services of one machine, told alike to have so
    many workers, should not all sit on the same few.
    """
    cores = sorted(os.sched_getaffinity(0))
    if count < len(cores):
        return list(random.sample(cores, count))
    return [cores[number % len(cores)] for number in range(count)]


def _signal(workers: Iterable[Worker], number: signal.Signals) -> None:
    for worker in workers:
        worker.process.send_signal(number)


def _name_of(number: int) -> str:
    return signal.Signals(number).name
