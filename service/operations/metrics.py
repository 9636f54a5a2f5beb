"""What the service counts for Prometheus beyond its RPCs; knows no gRPC."""

import threading

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.domain.answers import Strategy

# Models that have labels of their own: the one in use, and some before it whose answers are still acted on.
_MOST_VERSIONS = 5
_NONE, _OTHER = "none", "other"
# From a commit of SQLite on a fast disk up to the longest time that a write may take.
_WRITE_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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
        empty = Counter(
            "recommendations_empty_answers",
            "First pages of Recommend without a single book, by how they came about.",
            ["strategy"],
            registry=registry,
        )
        self._empty = {strategy: empty.labels(strategy.value) for strategy in Strategy}
        self._interactions = Counter(
            "recommendations_interactions_recorded",
            "Interactions stored, duplicates left out.",
            registry=registry,
        )
        self._write_seconds = Histogram(
            "recommendations_interaction_write_seconds",
            "Seconds from asking for a batch of interactions to be stored until it was.",
            buckets=_WRITE_BUCKETS_SECONDS,
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

    def answered(self, strategy: Strategy, filled: int, *, is_empty: bool) -> None:
        """Count an answer to Recommend."""
        self._answers[strategy].inc()
        if filled:
            self._filled.inc(filled)
        if is_empty:
            self._empty[strategy].inc()

    def recorded(self, count: int, seconds: float) -> None:
        """Count the interactions of a batch that were stored, and how long its caller waited for that."""
        self._interactions.inc(count)
        self._write_seconds.observe(seconds)

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
