"""`recommendations train`, `evaluate` and `models`, as an operator runs them."""

import json
import re
import sqlite3
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from service.models import ModelStore
from tests.s3 import S3Server
from tests.system.processes import assert_fails, run_here


def command(shop, *arguments):
    return run_here(*arguments, settings=shop.settings, cwd=shop.directory)


def listed(shop):
    return json.loads(command(shop, "models", "list", "--json").stdout)


def test_the_first_training_tells_what_it_learned_and_that_it_beats_popularity(prepared_shop):
    told = (prepared_shop.directory / "prepared.txt").read_text()
    assert "729 books, 3200 readers, 74683 interactions" in told
    recall, popularity = re.search(r"Recall@20 ([0-9.]+), popularity ([0-9.]+)", told).groups()
    assert float(recall) >= 2 * float(popularity)
    assert told.endswith("in use now\n")


def test_models_are_trained_listed_promoted_rolled_back_and_pruned(shop):
    first = listed(shop)[0]["version"]
    result = command(shop, "train", "--no-publish")
    assert result.returncode == 0, result.stderr
    assert "not in use; `recommendations models promote` puts it there" in result.stdout
    second = next(each["version"] for each in listed(shop) if each["version"] != first)
    assert [each["version"] for each in listed(shop) if each["is_current"]] == [first]

    assert command(shop, "models", "promote", second).stdout == f"model {second} is in use now\n"
    table = command(shop, "models", "list").stdout
    assert [("in use" in line) for line in table.splitlines() if first in line or second in line] == [
        True,
        False,
    ]
    assert json.loads(command(shop, "models", "show").stdout)["version"] == second
    assert json.loads(command(shop, "models", "show", first).stdout)["version"] == first

    assert command(shop, "models", "rollback").stdout == f"model {first} is in use now\n"
    assert_fails(command(shop, "models", "rollback"), 1, "no earlier model")
    result = command(shop, "models", "prune", "--keep", "1")
    assert result.returncode == 0, result.stderr
    assert [each["version"] for each in listed(shop) if each["is_current"]] == [first]


def test_a_version_that_is_not_there_or_no_version_is_refused(shop):
    assert_fails(
        command(shop, "models", "promote", "20200101-000000-00000000"), 1, "does not exist", "models list"
    )
    assert_fails(command(shop, "models", "show", "../../etc"), 1, "is not a version")


def test_a_broken_model_is_listed_as_broken_and_cannot_be_promoted(shop):
    version = listed(shop)[0]["version"]
    (shop.models / version / "manifest.json").write_text("{}")
    assert "broken: " in command(shop, "models", "list").stdout
    assert_fails(command(shop, "models", "promote", version), 1, "manifest.json")


def test_without_models_it_says_how_to_get_one(empty_folder):
    for arguments in (("list",), ("show",), ("rollback",), ("prune",)):
        assert_fails(
            run_here("models", *arguments, settings={}, cwd=empty_folder), 1, "recommendations train"
        )


def test_evaluation_compares_with_popularity_as_table_and_json(prepared_shop):
    result = command(prepared_shop, "evaluate", "--json", "--seed", "3")
    assert result.returncode == 0, result.stderr
    rows = {row["method"]: row for row in json.loads(result.stdout)}
    ours = rows.pop("sparse linear, re-ranked by factors")
    alone = "sparse linear, re-ranked by factors, any volume and edition"
    assert set(rows) == {"popularity", "item-kNN", "EASE", "iALS", "iALS (implicit)", alone}
    assert ours["recall@20"] >= 2 * rows["popularity"]["recall@20"]
    low, high = ours["recall_interval"]
    assert low < ours["recall@20"] < high
    drawn = prepared_shop.directory / "figures.svg"
    table = command(prepared_shop, "evaluate", "--seed", "3", "--chart", str(drawn)).stdout
    assert f"{ours['recall@20']:.4f}" in table
    assert f"{ours['recall@20']:.4f}" in drawn.read_text()


def test_evaluation_without_the_package_implicit_leaves_its_row_out_and_says_so(shop, monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit", None)
    result = command(shop, "evaluate", "--json")
    assert result.returncode == 0, result.stderr
    assert "iALS (implicit)" not in {row["method"] for row in json.loads(result.stdout)}
    told = [line for line in result.stderr.splitlines() if line.startswith("recommendations: ")]
    assert told == [
        "recommendations: iALS (implicit) is left out: the package implicit is missing;"
        " `pip install implicit` adds it"
    ]


def test_the_model_in_use_is_judged_by_a_file_as_it_serves(shop):
    readers = [str(number) for number in range(1, 400)]
    write = shop.directory / "test.txt"
    # Numbers are ids less 1; what these readers have read already is not looked for.
    write.write_text("".join(f"{reader} 3 14 15 92 65\n" for reader in readers))
    result = command(shop, "evaluate", "--test", str(write), "--format", "lightgcn", "--json")
    assert result.returncode == 0, result.stderr
    popularity, judged = json.loads(result.stdout)
    assert popularity["method"] == "popularity"
    assert judged["method"] == f"model {listed(shop)[0]['version']}"
    assert judged["reader_count"] > 300
    assert "learned from other data" not in result.stderr

    write.write_text(write.read_text() + "9000000 3\n9000001 14\n")
    result = command(shop, "evaluate", "--test", str(write), "--format", "lightgcn", "--json")
    assert "2 of " in result.stderr
    assert "have no history; they are shown what is popular" in result.stderr


def test_test_files_that_judge_nothing_are_refused(shop):
    write = shop.directory / "test.txt"
    for content, message in (
        ("9000000 3\n9000001 14\n", "none of its 2 readers has a history"),
        ("1 3\n2 9999999\n", "line 2, column book_id: 10000000 is not in the catalogue"),
        ("1 x\n", "is not a whole number"),
        ("", "is empty"),
    ):
        write.write_text(content)
        assert_fails(command(shop, "evaluate", "--test", str(write), "--format", "lightgcn"), 1, message)
    assert_fails(command(shop, "evaluate", "--test", "missing.csv"), 1, "missing.csv does not exist")


def test_order_is_switched_off_for_training_and_serving_by_one_option(shop):
    result = command(shop, "train", "--order", "none")
    assert result.returncode == 0, result.stderr
    manifest = json.loads(command(shop, "models", "show").stdout)
    assert (manifest["ranking"]["ordered"], manifest["ranking"]["recency_exponent"]) == (False, 0.0)
    assert manifest["settings"]["backward"] == 1.0
    assert manifest["provenance"]["duration_seconds"] > 0
    assert "numba" in manifest["provenance"]["libraries"]


def test_a_model_that_lost_most_of_the_data_stays_unpublished_with_the_reason(shop):
    before = listed(shop)[0]["version"]
    with sqlite3.connect(shop.database) as database:
        database.execute("DELETE FROM interactions WHERE reader_id % 10 > 1")
    result = command(shop, "train")
    assert_fails(result, 1, "stays unpublished: interaction_count is", "were all data there?")
    assert [each["version"] for each in listed(shop) if each["is_current"]] == [before]


def test_training_on_nothing_is_refused(empty_folder):
    (empty_folder / "var").mkdir()
    assert run_here("migrate", settings={}, cwd=empty_folder).returncode == 0
    assert_fails(run_here("train", settings={}, cwd=empty_folder), 1, "interactions")


@pytest.fixture
def bucket(shop, tmp_path):
    """A shop whose models are in a bucket, and the directory of its objects."""
    with S3Server() as server:
        name, files = server.new_bucket()
        settings = {
            "RECOMMENDATIONS_MODELS_URL": f"s3://{name}/shops/one",
            "RECOMMENDATIONS_MODELS_ENDPOINT": server.endpoint,
            "RECOMMENDATIONS_MODELS_CREDENTIALS_FILE": str(server.credentials_file),
            "RECOMMENDATIONS_MODELS_CACHE_DIRECTORY": str(tmp_path / "cache"),
        }
        yield settings, files / "shops" / "one"


def saved_again(shop, settings, later_seconds):
    """Save the shop's model in the bucket as if trained at another time; training takes a while."""
    trained = ModelStore.open(str(shop.models), cache_directory=shop.directory).load()
    places = {key.removeprefix("RECOMMENDATIONS_MODELS_").lower(): value for key, value in settings.items()}
    store = ModelStore.open(
        places["url"],
        cache_directory=Path(places["cache_directory"]),
        endpoint=places["endpoint"],
        credentials_file=Path(places["credentials_file"]),
    )
    trained_at = int(time.time() + later_seconds) * 1_000_000
    return store.save(replace(trained, trained_at=trained_at), settings={}, data_digest="0" * 64)


def test_models_in_a_bucket_are_trained_listed_promoted_rolled_back_and_pruned(shop, bucket):
    settings, files = bucket

    def here(*arguments, **more):
        result = run_here(*arguments, settings=shop.settings | settings | more, cwd=shop.directory)
        assert result.returncode == 0, result.stderr
        return result

    first = saved_again(shop, settings, later_seconds=-1)
    here("models", "promote", first)
    trained = here("train")
    assert "train: storing the model" in trained.stderr
    assert trained.stdout.endswith("in use now\n")
    second = re.match(r"model (\S+):", trained.stdout)[1]
    shown = json.loads(here("models", "list", "--json").stdout)
    assert [(each["version"], each["is_current"]) for each in shown] == [(second, True), (first, False)]
    assert json.loads(here("models", "show").stdout)["version"] == second
    assert here("models", "rollback").stdout == f"model {first} is in use now\n"
    assert here("models", "promote", second).stdout == f"model {second} is in use now\n"
    third = saved_again(shop, settings, later_seconds=3600)
    assert here("models", "prune", "--keep", "1").stdout == ""  # the newest, the one in use, the one before
    here("models", "promote", third)
    kept = {"RECOMMENDATIONS_MODELS_KEPT": "1"}
    assert here("models", "prune", **kept).stdout == f"deleted {first}\n"
    assert sorted(path.name for path in files.iterdir() if any(path.glob("*.npy"))) == [second, third]


def test_a_bucket_that_cannot_be_used_is_told_in_one_line(shop, bucket, tmp_path):
    settings, _ = bucket

    def fails(*parts, **wrong):
        changed = {f"RECOMMENDATIONS_MODELS_{name}": str(value) for name, value in wrong.items()}
        for arguments in (("models", "list"), ("train",)):
            result = run_here(*arguments, settings=shop.settings | settings | changed, cwd=shop.directory)
            assert_fails(result, 1, *parts)
            assert "train:" not in result.stderr  # told before it learns, which may take minutes

    fails("has no bucket no-such-books", URL="s3://no-such-books")
    fails("does not answer: connection refused", ENDPOINT="http://127.0.0.1:1")
    fails("refuses callers without a key", CREDENTIALS_FILE="")
    fails("no such file or directory", CREDENTIALS_FILE=tmp_path / "nowhere")
    fails("no such file or directory", CA_FILE=tmp_path / "nowhere")
