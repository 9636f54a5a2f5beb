"""What the service tells Prometheus beyond its RPCs; knows no gRPC."""

import threading
from collections.abc import Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from service.domain.answers import Strategy
from service.domain.recommender import Recommender

# Models that have labels of their own: the one in use, and some before it whose answers are still acted on.
_MOST_VERSIONS = 5
_NONE, _OTHER = "none", "other"


class Recording(Protocol):
    """What a ledger tells of itself and its journal."""

    group_count: int
    journaled_count: int
    replayed_count: int


class Sized(Protocol):
    """What a journal tells of itself."""

    @property
    def size_bytes(self) -> int: ...


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
        shown = Counter(
            "recommendations_shown_books",
            "Books in answers, by how these came about and by model.",
            ["strategy", "model_version"],
            registry=registry,
        )
        taken = Counter(
            "recommendations_taken_books",
            "Interactions that named the answer they came of.",
            ["strategy", "model_version", "type"],
            registry=registry,
        )
        self._shown, self._taken = _ByModel(shown), _ByModel(taken)
        self._lock = threading.Lock()
        # By the digits that versions end with, which ids of answers hold.
        self._versions = {"": _NONE}

    def answered(self, strategy: Strategy, filled: int) -> None:
        """Count an answer to Recommend."""
        self._answers[strategy].inc()
        if filled:
            self._filled.inc(filled)

    def recorded(self, count: int) -> None:
        """Count interactions that were stored."""
        self._interactions.inc(count)

    def shown(self, strategy: str, model_version: str, count: int) -> None:
        """Count books that were shown in an answer of any kind."""
        self._shown.child(strategy, self._version(model_version)).inc(count)

    def taken(self, strategy: str, model_digits: str, interaction_type: str, count: int) -> None:
        """Count interactions that came of an answer; the model is known by the end of its version."""
        version = self._versions.get(model_digits, _OTHER)
        self._taken.child(strategy, version, interaction_type).inc(count)

    def _version(self, model_version: str) -> str:
        """Return the label of a model in use; the oldest gives way, so that there are only so many."""
        digits = model_version[-8:]
        if digits not in self._versions:
            with self._lock:
                self._versions[digits] = model_version
                if len(self._versions) > _MOST_VERSIONS + 1:
                    oldest = next(filter(None, self._versions))
                    version = self._versions.pop(oldest)
                    self._shown.drop(version)
                    self._taken.drop(version)
        return self._versions.get(digits, _OTHER)


class _ByModel:
    """A counter with a label `model_version`, whose children go when a model is not counted any more."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._children: dict[tuple[str, ...], Counter] = {}

    def child(self, *labels: str) -> Counter:
        found = self._children.get(labels)
        if found is None:
            found = self._children[labels] = self._counter.labels(*labels)
        return found

    def drop(self, version: str) -> None:
        for labels in [each for each in self._children if version in each]:
            del self._children[labels]
            self._counter.remove(*labels)


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
