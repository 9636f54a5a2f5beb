"""Builds the service from its settings and runs it: the one file that sees everything.

    with App(settings) as app:   # serving when this returns
        ...
        app.stop(hurry)          # NOT_SERVING, wait, bounded stop

Whatever is acquired is released in reverse, also when a start fails half-way. Nothing is made at import.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from secrets import token_bytes
from threading import Event
from typing import Any, Self, TypeVar

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
from prometheus_client import CollectorRegistry, Counter, GCCollector, PlatformCollector, ProcessCollector

from interceptors.chain import Chain, Exempt, Method, methods_of
from interceptors.deadline import CUT_OFF_GRACE_SECONDS, Deadline
from interceptors.errors import Errors
from interceptors.identity import Identity
from interceptors.limits import Limits
from interceptors.logging import AccessLog
from interceptors.metrics import Metrics
from interceptors.tracing import Tracing
from service.channel import server_options
from service.domain.errors import Unavailable
from service.domain.interactions import InteractionWeights
from service.exposures import Exposures
from service.failure import Failure
from service.following import DATABASE, Follower
from service.handler_threads import HandlerThreads
from service.journal import Journal
from service.ledger import Ledger
from service.mirroring import MirrorKeeper
from service.models import ModelStore
from service.operations.admin import AdminServer
from service.operations.conditions import NOT_DRAINING, Conditions
from service.operations.health import HealthService
from service.operations.logs import LineWriter
from service.operations.metrics import LedgerCollector, ServiceMetrics, ShopCollector
from service.operations.reflection import V1, V1ALPHA, add_reflection
from service.security.access import Policy
from service.security.tls import ServerCredentials
from service.servicers.answer_ids import AnswerIds
from service.servicers.catalogue import CatalogueServicer
from service.servicers.errors import status_of
from service.servicers.pages import Pages
from service.servicers.recommendation import RecommendationServicer
from service.servicers.tutorial import TutorialServicer
from service.settings import Settings, SettingsError, variable
from service.storage import Database, DatabaseAway
from service.upkeep import MODEL, Upkeep

CATALOGUE, SERVING = "catalogue", "serving"

Value = TypeVar("Value")

_log = logging.getLogger("recommendations")

# Pauses between attempts to reach a database at the start: soon at first, then so as not to be a burden.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0

_CONTRACTS = (
    recommendations_pb2.DESCRIPTOR.services_by_name["Recommendations"],
    recommendation_service_pb2.DESCRIPTOR.services_by_name["RecommendationService"],
    catalogue_service_pb2.DESCRIPTOR.services_by_name["CatalogueService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
)
_REFLECTION = tuple(Method(name, "ServerReflectionInfo", True, True) for name in (V1ALPHA, V1))
_WRITES = frozenset({"RecordInteractions", "ForgetReader", "UpsertBooks", "DeleteBooks"})
# Streams beyond the limit are refused on a thread too: these are for saying no.
_SPARE_STREAM_THREADS = 2
# One change is stored at a time, more only wait, each on a thread: far fewer than there can be.
_MOST_WRITES = 16
_SHORTEST_KEY_BYTES = 32


def microseconds_now() -> int:
    """Return the time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Stopped(Exception):
    """The service was told to stop while it was still starting."""


class App:
    """The running service. Entering it raises a Failure of one line where it cannot start.

    While the database is away, entering waits; `stop` ends the wait, and entering then raises Stopped.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stop: Event | None = None,
        tell: Callable[..., object] | None = None,
        write_log: Callable[[str], object] | None = None,
        now: Callable[[], int] = microseconds_now,
        span_exporter: Any = None,
    ) -> None:
        """Prepare; `write_log` takes access-log lines (standard error's by default), `now` tells µs UTC.

        A worker has a supervisor to `tell` its admin port, and shares the gRPC port with others.
        """
        self.settings = settings
        self._stop, self._tell = stop or Event(), tell
        self._write_log = write_log
        self._now = now
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
        if self._tell:
            self._tell(admin_port=self._admin.port)
        self.conditions.set(NOT_DRAINING, True)
        with _blaming("roles_file"):
            policy = Policy.load(settings.roles_file)
        credentials = self._credentials(stack)
        pages = Pages(self._page_token_key())

        database = stack.enter_context(self._reached(self._open_database))
        journal = None
        if settings.journal_directory is not None:
            with _blaming("journal_directory"):
                journal = stack.enter_context(
                    Journal(settings.journal_directory, database.identity, settings.journal_max_bytes)
                )
                self._reached(lambda: journal.adopt(database.record))
        mirror = stack.enter_context(
            MirrorKeeper(
                database,
                settings.mirror_directory,
                settings.mirror_hours,
                settings.kept_answers,
                InteractionWeights(
                    settings.view_weight,
                    settings.wishlist_weight,
                    settings.purchase_weight,
                    settings.preference_half_life_days,
                ),
            )
        )
        with _blaming("mirror_directory"):
            shop = self._reached(mirror.open)
        self.recommender = shop.recommender
        self.conditions.set(CATALOGUE, True)
        models = ModelStore(Path(settings.models_url))
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

        # The handlers' threads outlive the server, which is stopped first.
        handlers = stack.enter_context(
            # Deadline ends calls with more to tell, so it goes first.
            HandlerThreads(settings.handler_threads, settings.max_call_seconds + CUT_OFF_GRACE_SECONDS)
        )
        streams = ThreadPoolExecutor(settings.stream_threads + _SPARE_STREAM_THREADS, "stream")
        stack.callback(streams.shutdown, wait=False, cancel_futures=True)
        self._health = stack.enter_context(HealthService(self.conditions))
        self._server = grpc.server(
            handlers,  # type: ignore[arg-type] # an executor as far as grpc.server uses one
            interceptors=[self._chain(stack, write_log, policy, lambda: handlers.waiting)],
            options=server_options(settings, shares_port=self._tell is not None),
        )
        stack.callback(lambda: self._server.stop(0).wait(settings.grace_seconds))
        recommendation = RecommendationServicer(
            self.recommender,
            ledger,
            pages,
            ServiceMetrics(registry),
            self._now,
            streams,
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
        self.port = self._listen(settings.host, settings.port, "PORT", credentials)
        self.plaintext_port = None
        if settings.plaintext_port is not None:
            # The whole API to whoever is on this machine, as far as the roles of `anonymous` go.
            self.plaintext_port = self._listen("127.0.0.1", settings.plaintext_port, "PLAINTEXT_PORT", None)
        self._server.start()
        self.conditions.set(SERVING, True)

    def _open_database(self) -> Database:
        settings = self.settings
        return Database.open(
            settings.database_url,
            password_file=settings.database_password_file,
            pool_size=settings.database_pool_size,
            connect_seconds=settings.database_connect_seconds,
            statement_seconds=settings.database_statement_seconds,
        )

    def _reached(self, use: Callable[[], Value]) -> Value:
        """Return what needs the database; while it is away, say so and try again until told to stop."""
        pause = _FIRST_PAUSE_SECONDS
        told = ""
        while True:
            try:
                return use()
            except (DatabaseAway, Unavailable) as error:
                self.conditions.set(DATABASE, False, str(error))
                if str(error) != told:
                    told = str(error)
                    _log.warning("%s; waiting for it", error)
            if self._stop.wait(pause):
                raise Stopped
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _chain(
        self, stack: ExitStack, write_log: Callable[[str], object], policy: Policy, waiting: Callable[[], int]
    ) -> Chain:
        settings = self.settings
        refused = Counter(
            "recommendations_refused_calls", "Calls refused by a limit.", ["limit"], registry=self.registry
        )
        for limit in ("rate", "in_flight", "writes", "streams"):
            refused.labels(limit)
        limits = Limits(
            settings.rate_per_second,
            settings.rate_burst,
            settings.max_in_flight,
            max_streams=settings.stream_threads,
            # A database that is locked for minutes, by an import perhaps, must not take the answers' places.
            max_writes=_MOST_WRITES,
            is_write=lambda method: method.name in _WRITES,
            waiting=waiting,
            on_refused=lambda limit: refused.labels(limit).inc(),
        )
        methods = [method for contract in _CONTRACTS for method in methods_of(contract)]
        return Chain(
            [
                # A span covers all that follows, and decides the trace id that the log line carries.
                Tracing(self._tracer_provider(stack), settings.trace_ratio),
                # Log and metrics see every outcome, that of the layers below included.
                AccessLog(write_log, least_level=settings.log_level),
                Metrics(self.registry, [*methods, *_REFLECTION]),
                # From here inwards exceptions fly; outwards there are only status codes.
                Errors(status_of),
                # Who calls is settled before their share is counted.
                Identity(lambda peer, method: policy.refusal(peer, method.full)),
                Exempt(limits, _is_health),
                # Innermost: what waited its turn in vain is not started.
                Exempt(Deadline(settings.max_call_seconds, settings.max_stream_seconds), _is_health),
            ]
        )

    def _credentials(self, stack: ExitStack) -> grpc.ServerCredentials:
        settings = self.settings
        with _blaming("tls_certificate_file", "tls_key_file", "tls_client_ca_file"):
            keeper = ServerCredentials(
                settings.tls_certificate_file,
                settings.tls_key_file,
                settings.tls_client_ca_file if settings.transport == "mtls" else None,
                reload_seconds=settings.tls_reload_seconds,
                registry=self.registry,
            )
        return stack.enter_context(keeper).credentials

    def _page_token_key(self) -> bytes:
        path = self.settings.page_token_key_file
        return token_bytes(_SHORTEST_KEY_BYTES) if path is None else _key_in(path)

    def _tracer_provider(self, stack: ExitStack) -> Any:
        settings = self.settings
        if not settings.otlp_endpoint and self._span_exporter is None:
            return None
        from service.operations.tracer import tracer_provider

        provider = tracer_provider(settings.otlp_endpoint, self._span_exporter)
        stack.callback(provider.shutdown)  # sends what is still queued
        return provider

    def _listen(self, host: str, port: int, setting: str, credentials: grpc.ServerCredentials | None) -> int:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError:
            raise Failure(
                f"RECOMMENDATIONS_{setting}: {port}: cannot listen on {host}; is the port in use already?"
            ) from None

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


@contextmanager
def _blaming(*settings: str) -> Iterator[None]:
    """Put the settings in front of a failure that names only their file."""
    try:
        yield
    except Failure as failure:
        raise SettingsError(f"{', '.join(map(variable, settings))}: {failure}") from failure


def _is_health(method: Method) -> bool:
    return method.service == "grpc.health.v1.Health"


def _key_in(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise Failure(f"RECOMMENDATIONS_PAGE_TOKEN_KEY_FILE: {path}: {error.strerror}") from None
    if len(key) < _SHORTEST_KEY_BYTES:
        raise Failure(
            f"RECOMMENDATIONS_PAGE_TOKEN_KEY_FILE: {path}: {len(key)} bytes, {_SHORTEST_KEY_BYTES} are needed"
        )
    return key
