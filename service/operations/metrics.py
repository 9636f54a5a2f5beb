"""What the service tells Prometheus beyond its RPCs; knows no gRPC."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from service.domain.answers import Strategy
from service.domain.recommender import Recommender


class ServiceMetrics:
    """The service's own counters; children are made beforehand: every series is there from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        answers = Counter(
            "recommendations_answers",
            "Answers to Recommend, by how they came about.",
            ["strategy"],
            registry=registry,
        )
        self._answers = {strategy: answers.labels(strategy.value) for strategy in Strategy}
        self._filled = Counter(
            "recommendations_filled_books",
            "Books in answers that were there for popularity alone.",
            registry=registry,
        )
        self._interactions = Counter(
            "recommendations_interactions_recorded",
            "Interactions stored, duplicates left out.",
            registry=registry,
        )

    def answered(self, strategy: Strategy, filled: int) -> None:
        """Count an answer."""
        self._answers[strategy].inc()
        if filled:
            self._filled.inc(filled)

    def recorded(self, count: int) -> None:
        """Count interactions that were stored."""
        self._interactions.inc(count)


class ShopCollector(Collector):
    """Reads the recommender's sizes and model when Prometheus asks."""

    def __init__(self, recommender: Recommender, version: str) -> None:
        self._recommender, self._version = recommender, version

    def collect(self) -> Iterable[GaugeMetricFamily | InfoMetricFamily]:
        """Yield the families."""
        yield InfoMetricFamily("recommendations_build", "The program.", {"version": self._version})
        yield GaugeMetricFamily(
            "recommendations_catalogue_books",
            "Books that can be recommended.",
            value=self._recommender.catalogue.book_count,
        )
        yield GaugeMetricFamily(
            "recommendations_readers", "Readers with a history.", value=self._recommender.reader_count
        )
        if model := self._recommender.model:
            yield InfoMetricFamily(
                "recommendations_model",
                "The model in use.",
                {"version": model.version, "method": model.method},
            )
            yield GaugeMetricFamily(
                "recommendations_model_trained_timestamp_seconds",
                "When the model in use was trained.",
                value=model.trained_at / 1e6,
            )
