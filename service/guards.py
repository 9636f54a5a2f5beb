"""The chain of guards around every call, as one visible list; knows the settings, and nothing of books."""

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from interceptors.chain import Chain, Exempt, Method
from interceptors.deadline import Deadline
from interceptors.errors import Errors
from interceptors.identity import Identity
from interceptors.limits import Limits
from interceptors.logging import AccessLog
from interceptors.metrics import Metrics
from interceptors.tracing import Tracing
from service.security.access import Policy
from service.servicers.errors import status_of
from service.settings import Settings

_WRITES = frozenset({"RecordInteractions", "ForgetReader", "UpsertBooks", "DeleteBooks"})
# More than ever wait for a sound database, and fewer than there are threads for them: the others say no.
_MOST_WRITES = 48


def guards(
    settings: Settings,
    registry: CollectorRegistry,
    methods: Sequence[Method],
    *,
    write_log: Callable[[str], object],
    policy: Policy,
    waiting: Callable[[], int],
    tracer_provider: Any,
) -> Chain:
    """Return the chain for these methods; `waiting` tells how many calls wait for a thread.

    The order matters, and each place says why.
    """
    return Chain(
        [
            # A span covers all that follows, and decides the trace id that the log line carries.
            Tracing(tracer_provider, settings.trace_ratio),
            # Log and metrics see every outcome, that of the layers below included.
            AccessLog(write_log, least_level=settings.log_level),
            Metrics(registry, methods),
            # From here inwards exceptions fly; outwards there are only status codes.
            Errors(status_of),
            # Who calls is settled before their share is counted.
            Identity(lambda peer, method: policy.refusal(peer, method.full)),
            Exempt(_limits(settings, registry, waiting), _is_health),
            # Innermost: what waited its turn in vain is not started.
            Exempt(Deadline(settings.max_call_seconds, settings.max_stream_seconds), _is_health),
        ]
    )


def _limits(settings: Settings, registry: CollectorRegistry, waiting: Callable[[], int]) -> Limits:
    refused = Counter(
        "recommendations_refused_calls", "Calls refused by a limit.", ["limit"], registry=registry
    )
    for limit in ("rate", "in_flight", "writes", "streams"):
        refused.labels(limit)
    return Limits(
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


def _is_health(method: Method) -> bool:
    return method.service == "grpc.health.v1.Health"
