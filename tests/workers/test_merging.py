"""Several processes' metrics as one page."""

from service.workers.merging import families_of, merged

PAGE = """
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{{method="A"}} {calls}
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{{le="1.0"}} {calls}
seconds_bucket{{le="+Inf"}} {calls}
seconds_count {calls}
seconds_sum {calls}
# HELP recommendations_condition 1 while it holds.
# TYPE recommendations_condition gauge
recommendations_condition{{condition="model"}} {holds}
# HELP recommendations_readers Readers.
# TYPE recommendations_readers gauge
recommendations_readers {readers}
# HELP recommendations_journal_bytes Bytes.
# TYPE recommendations_journal_bytes gauge
recommendations_journal_bytes {readers}
# HELP process_threads Threads.
# TYPE process_threads gauge
process_threads 7
"""


def page(calls: int, holds: int = 1, readers: int = 10) -> list:
    return families_of(PAGE.format(calls=calls, holds=holds, readers=readers))


def series(families: list) -> dict[str, float]:
    return {
        sample.name + "".join(f"|{key}={value}" for key, value in sample.labels.items()): sample.value
        for family in families
        for sample in family.samples
    }


def test_counts_are_added_gauges_by_their_meaning_and_processes_kept_apart():
    found = series(merged({0: page(3, readers=10), 1: page(4, holds=0, readers=12)}))
    assert found == {
        "calls_total|method=A": 7,
        "seconds_bucket|le=1.0": 7,
        "seconds_bucket|le=+Inf": 7,
        "seconds_count": 7,
        "seconds_sum": 7,
        "recommendations_condition|condition=model": 0,
        "recommendations_readers": 12,
        "recommendations_journal_bytes": 22,
        "process_threads|worker=0": 7,
        "process_threads|worker=1": 7,
    }


def test_counters_of_dead_workers_stay_and_their_gauges_go():
    ended = [merged({}, [page(5)])]
    found = series(merged({0: page(3)}, ended))
    assert found["calls_total|method=A"] == 8
    assert found["seconds_count"] == 8
    assert found["recommendations_readers"] == 10
    assert "process_threads|worker=None" not in found
    once_more = series(merged({0: page(3)}, [merged({}, [*ended, page(2)])]))
    assert once_more["calls_total|method=A"] == 10


def test_where_workers_differ_the_one_furthest_behind_is_shown():
    def one(expiry: int, lag: int, books: int) -> list:
        values = {
            "recommendations_tls_certificate_expiry_timestamp_seconds": expiry,
            "recommendations_follow_lag_seconds": lag,
            "recommendations_catalogue_books": books,
        }
        return families_of(
            "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in values.items())
        )

    found = series(merged({0: one(2000, 1, 700), 1: one(1000, 30, 700)}))
    assert list(found.values()) == [1000, 30, 700]
