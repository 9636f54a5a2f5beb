"""Builds the service from its settings and runs it: the one file that sees everything.

    with App(settings) as app:   # serving when this returns
        ...
        app.stop(hurry)          # NOT_SERVING, wait, bounded stop

Whatever is acquired is released in reverse, also when a start fails half-way. Nothing is made at import.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from threading import Event
from typing import Any, Self

import grpc
import recommendations_pb2
import recommendations_pb2_grpc
from grpc_health.v1 import health_pb2
from onlinebooks.recommendations.v1 import (
    catalogue_service_pb2,
    catalogue_service_pb2_grpc,
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
)
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from interceptors.chain import Method, methods_of
from interceptors.deadline import CUT_OFF_GRACE_SECONDS
from service.acquiring import Value, blaming, listen, reached, server_credentials
from service.channel import server_options
from service.clock import microseconds_now, never_back
from service.exposures import Exposures
from service.following import DATABASE, Follower
from service.guards import guards
from service.handler_threads import HandlerThreads
from service.journal import Journal
from service.ledger import Ledger
from service.mirroring import MirrorKeeper
from service.operations.admin import AdminServer
from service.operations.collectors import LedgerCollector, ShopCollector
from service.operations.conditions import NOT_DRAINING, Conditions
from service.operations.health import HealthService
from service.operations.logs import LineWriter
from service.operations.metrics import ServiceMetrics
from service.operations.reflection import V1, V1ALPHA, add_reflection
from service.replaying import replay
from service.security.access import Policy
from service.security.page_token_key import key_in, new_key
from service.servicers.answer_ids import AnswerIds
from service.servicers.catalogue import CatalogueServicer
from service.servicers.pages import Pages
from service.servicers.recommendation import RecommendationServicer
from service.servicers.tutorial import TutorialServicer
from service.settings import Settings
from service.storage import Database
from service.stores import migrate_database, open_database, open_models
from service.upkeep import MODEL, Upkeep
from service.workers.line import SupervisorLine

CATALOGUE, SERVING = "catalogue", "serving"

_CONTRACTS = (
    recommendations_pb2.DESCRIPTOR.services_by_name["Recommendations"],
    recommendation_service_pb2.DESCRIPTOR.services_by_name["RecommendationService"],
    catalogue_service_pb2.DESCRIPTOR.services_by_name["CatalogueService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
)
_REFLECTION = tuple(Method(name, "ServerReflectionInfo", True, True) for name in (V1ALPHA, V1))
# Streams beyond the limit are refused on a thread too: these are for saying no.
_SPARE_STREAM_THREADS = 2
# So many changes wait for the disk together: as many as make a transaction cheap for each of them.
_WRITE_THREADS = 32


class App:
    """The running service. Entering it raises a Failure of one line where it cannot start.

    While the database is away, entering waits; `stop` ends the wait, and entering then raises Stopped.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stop: Event | None = None,
        supervisor: SupervisorLine | None = None,
        write_log: Callable[[str], object] | None = None,
        now: Callable[[], int] = microseconds_now,
        span_exporter: Any = None,
    ) -> None:
        """Prepare; `write_log` takes access-log lines (standard error's by default), `now` tells µs UTC.

        With a supervisor this is a worker: it shares the gRPC port with others, and the key of page tokens.
        """
        self.settings = settings
        self._stop, self._supervisor = stop or Event(), supervisor
        self._write_log = write_log
        self._now = never_back(now)
        self._span_exporter = span_exporter
        self._stack = ExitStack()
        self.registry = CollectorRegistry()
        self.conditions = Conditions(
            (CATALOGUE, MODEL, SERVING, NOT_DRAINING), advisory=(DATABASE,), registry=self.registry
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        settings, registry = self.settings, self.registry
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        write_log = self._write_log or stack.enter_context(LineWriter(sys.stderr)).write
        # First of all: probes are answered from here on, and say what is still missing.
        self._admin = stack.enter_context(
            AdminServer(settings.admin_host, settings.admin_port, self.conditions, registry)
        )
        if self._supervisor:
            self._supervisor.tell(admin_port=self._admin.port)
        self.conditions.set(NOT_DRAINING, True)
        with blaming("roles_file"):
            policy = Policy.load(settings.roles_file)
        credentials = stack.enter_context(server_credentials(settings, registry)).credentials
        pages = Pages(self._page_token_key())

        database = stack.enter_context(self._reached(self._open_database))
        journal = None
        if settings.journal_directory is not None:
            with blaming("journal_directory"):
                journal = stack.enter_context(
                    Journal(settings.journal_directory, database.identity, settings.journal_max_bytes)
                )
                self._reached(lambda: journal.adopt(lambda lot: replay(database, lot)))
        mirror = stack.enter_context(
            MirrorKeeper(
                database,
                settings.mirror_directory,
                settings.mirror_hours,
                settings.kept_answers,
                settings.interaction_weights,
            )
        )
        with blaming("mirror_directory"):
            shop = self._reached(mirror.open)
        self.recommender = shop.recommender
        self.conditions.set(CATALOGUE, True)
        with blaming("models_url", "models_endpoint", "models_credentials_file", "models_ca_file"):
            models = open_models(settings)
        stack.enter_context(
            Upkeep(models, self.recommender, self.conditions, settings.model_check_seconds, registry)
        )
        registry.register(ShopCollector(self.recommender, version("recommendations")))
        ledger = Ledger(database, self.recommender, journal)
        registry.register(LedgerCollector(ledger, journal))
        follower = stack.enter_context(
            Follower(database, ledger, shop, self.conditions, settings.follow_seconds, registry)
        )
        mirror.start(follower.renew)
        exposures = stack.enter_context(Exposures(database, settings.exposure_days, self._now, registry))

        # The handlers' threads outlive the server, which is stopped first. Deadline ends calls with more to
        # tell, so it goes before their own limit.
        longest_seconds = settings.max_call_seconds + CUT_OFF_GRACE_SECONDS
        handlers = stack.enter_context(HandlerThreads(settings.handler_threads, longest_seconds))
        # Of their own: they wait for the disk, and no answer waits behind them.
        writers = stack.enter_context(HandlerThreads(_WRITE_THREADS, longest_seconds))
        streams = ThreadPoolExecutor(settings.stream_threads + _SPARE_STREAM_THREADS, "stream")
        stack.callback(streams.shutdown, wait=False, cancel_futures=True)
        self._health = stack.enter_context(HealthService(self.conditions))
        chain = guards(
            settings,
            registry,
            [*(each for contract in _CONTRACTS for each in methods_of(contract)), *_REFLECTION],
            write_log=write_log,
            policy=policy,
            waiting=lambda: handlers.waiting + writers.waiting,
            tracer_provider=self._tracer_provider(stack),
        )
        self._server = grpc.server(
            handlers,
            interceptors=[chain],
            options=server_options(settings, shares_port=self._supervisor is not None),
        )
        stack.callback(lambda: self._server.stop(0).wait(settings.grace_seconds))
        recommendation = RecommendationServicer(
            self.recommender,
            ledger,
            pages,
            ServiceMetrics(registry),
            self._now,
            streams,
            writers,
            settings.kept_answers,
            AnswerIds(settings.exposure_ratio),
            exposures,
        )
        catalogue = CatalogueServicer(self.recommender, ledger, pages)
        recommendations_pb2_grpc.add_RecommendationsServicer_to_server(
            TutorialServicer(self.recommender), self._server
        )
        recommendation_service_pb2_grpc.add_RecommendationServiceServicer_to_server(
            recommendation, self._server
        )
        catalogue_service_pb2_grpc.add_CatalogueServiceServicer_to_server(catalogue, self._server)
        self._health.add_to(self._server)
        add_reflection(self._server, [contract.full_name for contract in _CONTRACTS], streams)
        self.port = listen(self._server, settings.host, settings.port, "port", credentials)
        self.plaintext_port = None
        if settings.plaintext_port is not None:
            # The whole API to whoever is on this machine, as far as the roles of `anonymous` go.
            self.plaintext_port = listen(
                self._server, "127.0.0.1", settings.plaintext_port, "plaintext_port", None
            )
        self._server.start()
        self.conditions.set(SERVING, True)

    def _open_database(self) -> Database:
        if self.settings.migrate_at_start:
            # Replicas that start at the same time wait for the first of them.
            migrate_database(self.settings)
        return open_database(self.settings)

    def _reached(self, use: Callable[[], Value]) -> Value:
        return reached(use, self.conditions, self._stop)

    def _page_token_key(self) -> bytes:
        path = self.settings.page_token_key_file
        if path is not None:
            return key_in(path)
        return self._supervisor.page_token_key if self._supervisor else new_key()

    def _tracer_provider(self, stack: ExitStack) -> Any:
        settings = self.settings
        if not settings.otlp_endpoint and self._span_exporter is None:
            return None
        from service.operations.tracer import tracer_provider

        provider = tracer_provider(settings.otlp_endpoint, self._span_exporter)
        stack.callback(provider.shutdown)  # sends what is still queued
        return provider

    @property
    def admin_port(self) -> int:
        """The port of the admin endpoint."""
        return self._admin.port

    def stop(self, hurry: Event) -> None:
        """Drain: say NOT_SERVING, let clients notice, refuse new calls, let those in flight end.

        Setting `hurry` ends every wait at once.
        """
        self.conditions.set(NOT_DRAINING, False, "stopping")
        hurry.wait(self.settings.drain_seconds)
        self._health.end_watches()
        self.conditions.set(SERVING, False, "stopped")
        stopped = self._server.stop(0 if hurry.is_set() else self.settings.grace_seconds)
        while not stopped.wait(0.05):
            if hurry.is_set():
                self._server.stop(0)
