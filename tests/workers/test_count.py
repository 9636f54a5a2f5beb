"""How many workers are meant."""

import os

import pytest

from service.workers import worker_count


def cgroup(tmp_path, **files: str):
    for name, content in files.items():
        path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_auto_is_one_for_each_processor_that_may_be_used(tmp_path):
    assert worker_count("auto", tmp_path) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("limit", "count"), [("50000 100000", 1), ("10000 100000", 1), ("100000 100000", 1)])
def test_auto_goes_no_further_than_the_quota(tmp_path, limit, count):
    assert worker_count("auto", cgroup(tmp_path, cpu_dot_max=limit + "\n")) == count


def test_auto_without_a_quota(tmp_path):
    everything = len(os.sched_getaffinity(0))
    assert worker_count("auto", cgroup(tmp_path, cpu_dot_max="max 100000\n")) == everything


def test_auto_knows_the_older_cgroups(tmp_path):
    files = {"cpu__cpu.cfs_quota_us": "100000\n", "cpu__cpu.cfs_period_us": "100000\n"}
    assert worker_count("auto", cgroup(tmp_path, **files)) == 1
    files["cpu__cpu.cfs_quota_us"] = "-1\n"
    assert worker_count("auto", cgroup(tmp_path, **files)) == len(os.sched_getaffinity(0))


def test_a_number_is_itself():
    assert worker_count("3") == 3


@pytest.mark.parametrize("wanted", ["0", "-1", "257", "many", "", "1.5", "²", "99999999999999999999"])
def test_anything_else_is_refused(wanted):
    with pytest.raises(ValueError, match="is neither"):
        worker_count(wanted)
