"""One page of metrics out of several processes'; knows no process and starts none."""

from collections.abc import Iterable, Mapping

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

# What all workers say alike, or where the one furthest behind counts; every other gauge is added up.
_LEAST = {
    "recommendations_condition",
    "recommendations_model_quality",
    "recommendations_model_trained_timestamp_seconds",
    "recommendations_tls_certificate_expiry_timestamp_seconds",
}
_MOST = {
    "recommendations_build_info",
    "recommendations_model_info",
    "recommendations_catalogue_books",
    "recommendations_readers",
    "recommendations_follow_lag_seconds",
    "recommendations_model_refused",
    "recommendations_tls_refused",
}
# What each process says of itself stays apart.
_OF_EACH = ("process_", "python_")

_Series = tuple[str, tuple[tuple[str, str], ...]]


def families_of(page: str) -> list[Metric]:
    """Parse a page in Prometheus's text format."""
    return list(text_string_to_metric_families(page))


def merged(pages: Mapping[int, list[Metric]], ended: Iterable[list[Metric]] = ()) -> list[Metric]:
    """Return one family for each name.

    `pages` has the families of each worker by its number, `ended` those that dead workers had last: their
    counters and histograms go on counting, because a counter of the whole service never goes back.
    """
    families: dict[str, Metric] = {}
    values: dict[str, dict[_Series, float]] = {}
    for number, metrics in [*pages.items(), *((None, metrics) for metrics in ended)]:
        for metric in metrics:
            is_gauge = metric.type in ("gauge", "info", "unknown")
            if number is None and (is_gauge or metric.name.startswith(_OF_EACH)):
                continue
            families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            series = values.setdefault(metric.name, {})
            for sample in metric.samples:
                labels = dict(sample.labels)
                if metric.name.startswith(_OF_EACH):
                    labels["worker"] = str(number)
                key = (sample.name, tuple(labels.items()))
                if key not in series:
                    series[key] = sample.value
                elif is_gauge and metric.name in _LEAST:
                    series[key] = min(series[key], sample.value)
                elif is_gauge and metric.name in _MOST:
                    series[key] = max(series[key], sample.value)
                else:
                    series[key] += sample.value
    for name, series in values.items():
        for (sample_name, pairs), value in series.items():
            families[name].add_sample(sample_name, dict(pairs), value)
    return list(families.values())
