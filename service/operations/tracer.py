"""Where spans go: an OTLP/HTTP collector, from a queue of its own; imported only where tracing is on."""

from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

# A collector that is away must not hold the exit; spans are the first thing to lose. At the end one lot may
# be under way, and all that is queued goes as one more.
_EXPORT_SECONDS, _MOST_QUEUED = 5, 2048
FLUSH_SECONDS = 2 * _EXPORT_SECONDS


def tracer_provider(endpoint: str, exporter: Any = None) -> TracerProvider:
    """Make a provider that samples everything it is handed: the interceptor has decided before.

    `exporter` takes the place of the OTLP one in tests.
    """
    provider = TracerProvider(
        sampler=ALWAYS_ON, resource=Resource.create({"service.name": "recommendations"})
    )
    exporter = exporter or OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_SECONDS)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=_MOST_QUEUED,
            max_export_batch_size=_MOST_QUEUED,
            export_timeout_millis=_EXPORT_SECONDS * 1000,
        )
    )
    return provider
