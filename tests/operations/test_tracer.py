"""Spans at the end of the process."""

import threading

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from service.operations.tracer import tracer_provider


class SlowCollector(SpanExporter):
    """Takes nothing before it is let; counts what it got."""

    def __init__(self) -> None:
        self.asked, self.let = threading.Event(), threading.Event()
        self.lots: list[int] = []

    def export(self, spans) -> SpanExportResult:
        self.asked.set()
        self.let.wait(60)
        self.lots.append(len(spans))
        return SpanExportResult.SUCCESS


def test_all_that_is_queued_goes_as_one_more_lot():
    # Each lot may take as long as a collector that hangs is given: many would outlast the grace period.
    collector = SlowCollector()
    provider = tracer_provider("", collector)
    tracer = provider.get_tracer("test")
    tracer.start_span("the first").end()
    assert collector.asked.wait(60)
    for number in range(2000):
        tracer.start_span(str(number)).end()
    threading.Timer(0.1, collector.let.set).start()
    provider.shutdown()
    assert collector.lots == [1, 2000]
