"""What Prometheus is told that is read when it asks: sizes, the model in use, the ledger; counts nothing."""

from collections.abc import Iterable
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from service.domain.recommender import Recommender

# What training measures. A snapshot may hold figures of any name; these alone become labels.
FIGURES = tuple(
    f"{prefix}{figure}@20"
    for prefix in ("", "popularity_")
    for figure in ("recall", "ndcg", "hit_rate", "coverage")
)


class Recording(Protocol):
    """What a ledger tells of itself and its journal."""

    group_count: int
    journaled_count: int
    replayed_count: int

    @property
    def waiting_count(self) -> int: ...


class Sized(Protocol):
    """What a journal tells of itself."""

    @property
    def size_bytes(self) -> int: ...


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
            quality = GaugeMetricFamily(
                "recommendations_model_quality",
                "How well the model in use did on what was held out when it was trained.",
                labels=["figure"],
            )
            for figure in FIGURES:
                if figure in model.metrics:
                    quality.add_metric([figure], model.metrics[figure])
            yield quality


class LedgerCollector(Collector):
    """Reads what ledger and journal have done when Prometheus asks; without a journal its part is 0."""

    def __init__(self, ledger: Recording, journal: Sized | None) -> None:
        self._ledger, self._journal = ledger, journal

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """Yield the families."""
        yield CounterMetricFamily(
            "recommendations_recorded_groups",
            "Transactions that stored interactions; each of all calls that waited for it.",
            value=self._ledger.group_count,
        )
        yield GaugeMetricFamily(
            "recommendations_interaction_write_queue",
            "Batches of interactions that wait to be stored.",
            value=self._ledger.waiting_count,
        )
        yield GaugeMetricFamily(
            "recommendations_journal_bytes",
            "Length of the journal: what waits for the database.",
            value=self._journal.size_bytes if self._journal else 0,
        )
        yield CounterMetricFamily(
            "recommendations_journaled_interactions",
            "Interactions stored in the journal.",
            value=self._ledger.journaled_count,
        )
        yield CounterMetricFamily(
            "recommendations_replayed_interactions",
            "Interactions moved from the journal to the database.",
            value=self._ledger.replayed_count,
        )
