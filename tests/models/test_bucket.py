"""Models in a real S3 server's bucket: what is particular to one, and every way in which it fails."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.models import ModelError, ModelsAway, ModelStore, NoModel
from tests.models.made_models import DIGEST, SETTINGS, TRAINED_AT, made_model
from tests.models.places import Place, bucket_place
from tests.s3 import Proxy, S3Server

REPOSITORY = Path(__file__).parents[2]
UNSUPPORTED = b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
def server() -> Iterator[S3Server]:
    """A server of the test's own, which may be stopped."""
    with S3Server() as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, s3: S3Server) -> Place:
    return bucket_place(tmp_path, s3)


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[Proxy]:
    with Proxy(s3.port) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(tmp_path: Path, s3: S3Server, proxy: Proxy) -> Place:
    """A place that is reached through the proxy; a second is as long as a request may take."""
    return bucket_place(tmp_path, s3, endpoint=proxy.endpoint, request_seconds=1)


def save(store: ModelStore, number: int = 0) -> str:
    model = made_model(seed=number, trained_at=TRAINED_AT + number * 1_000_000)
    return store.save(model, settings=SETTINGS, data_digest=DIGEST)


def refusal(action: Callable[[], object], kind: type[ModelError] = ModelError) -> str:
    with pytest.raises(kind) as raised:
        action()
    message = str(raised.value)
    assert "\n" not in message
    return message


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def downloads(proxy: Proxy) -> list[bytes]:
    return [line for line in proxy.requests if line.startswith(b"GET") and b".npy" in line]


# Reaching it


def test_a_look_at_the_pointer_is_one_request(through_proxy: Place, proxy: Proxy) -> None:
    store = through_proxy.store
    version = save(store)
    store.promote(version)
    proxy.requests.clear()
    assert store.current_version() == version
    assert len(proxy.requests) == 1
    assert b"/current " in proxy.requests[0]


def test_a_store_that_is_away_at_first_is_used_once_it_is_there(tmp_path: Path, server: S3Server) -> None:
    place = bucket_place(tmp_path, server)
    version = save(place.store)
    place.store.promote(version)
    server.kill()
    store = place.store
    for action in (store.current_version, store.load, store.list, store.rollback, lambda: store.prune(1)):
        message = refusal(action, ModelsAway)
        assert message.endswith(f": {server.endpoint} does not answer: connection refused")
    assert refusal(lambda: save(store, 1), ModelsAway)
    refusal(store.load_kept, NoModel)
    server.start()
    assert store.load().version == version


def test_while_the_store_is_away_the_model_read_last_is_kept(tmp_path: Path, server: S3Server) -> None:
    place = bucket_place(tmp_path, server)
    store = place.store
    for number in range(2):
        store.promote(save(store, number))
        store.load()
    server.kill()
    refusal(store.current_version, ModelsAway)
    kept = place.store.load_kept()
    assert kept.trained_at == TRAINED_AT + 1_000_000
    assert np.array_equal(kept.weights, made_model(seed=1).weights)


def test_a_store_that_hangs_is_given_up_within_a_bound(tmp_path: Path, server: S3Server) -> None:
    store = bucket_place(tmp_path, server, request_seconds=0.5).store
    version = save(store)
    store.promote(version)
    server.pause()
    started = time.monotonic()
    assert refusal(store.current_version, ModelsAway).endswith("does not answer: nothing within 0.5 s")
    refusal(store.load, ModelsAway)
    assert time.monotonic() - started < 10  # each is one request, with two more tries at most
    server.resume()
    assert store.load().version == version


def test_a_store_that_hangs_in_the_middle_of_a_download_is_given_up(
    through_proxy: Place, proxy: Proxy
) -> None:
    store = through_proxy.store
    store.promote(save(store))
    proxy.hinder = lambda sent: proxy.hang(sent) if b"weights.npy" in sent else None
    message = refusal(store.load, ModelsAway)
    assert "weights.npy" in message
    assert [path.name for path in through_proxy.cache.iterdir() if path.is_dir()] == []
    proxy.hinder = lambda sent: None
    assert np.array_equal(store.load().weights, made_model().weights)


def test_a_slow_store_is_waited_for_as_long_as_each_request_is_in_time(
    through_proxy: Place, proxy: Proxy
) -> None:
    store = through_proxy.store
    store.promote(save(store))
    proxy.bytes_per_second = 20_000
    assert np.array_equal(store.load().weights, made_model().weights)
    proxy.bytes_per_second = 100  # the pointer's answer is some hundred bytes: several seconds
    assert "nothing within 1 s" in refusal(store.current_version, ModelsAway)


def test_an_endpoint_that_does_not_speak_http_is_away(tmp_path: Path, s3: S3Server) -> None:
    store = bucket_place(tmp_path, s3, endpoint=s3.endpoint.replace("http:", "https:")).store
    assert "does not answer" in refusal(store.current_version, ModelsAway)


@pytest.mark.parametrize("answer", [FAILED, b"220 mail.example ready\r\n", b""])
def test_an_answer_that_makes_no_sense_is_a_store_that_is_away(
    through_proxy: Place, proxy: Proxy, answer: bytes
) -> None:
    proxy.hinder = lambda sent: answer
    assert "does not answer" in refusal(through_proxy.store.current_version, ModelsAway)


# Being let in


def test_a_wrong_secret_is_refused_without_being_told(tmp_path: Path, s3: S3Server) -> None:
    wrong = s3.write_credentials(tmp_path / "wrong", secret="not-the-secret")
    store = bucket_place(tmp_path, s3, credentials_file=wrong).store
    message = refusal(store.current_version)
    assert message.endswith(f"refuses the key in {wrong} (403 SignatureDoesNotMatch)")
    assert "not-the-secret" not in message
    assert "not-the-secret" not in repr(vars(store._place._objects))  # type: ignore[attr-defined]


def test_an_unknown_key_and_no_key_are_refused(tmp_path: Path, s3: S3Server) -> None:
    unknown = s3.write_credentials(tmp_path / "unknown", key="stranger")
    store = bucket_place(tmp_path, s3, credentials_file=unknown).store
    for action in (store.current_version, store.list):
        assert f"refuses the key in {unknown}" in refusal(action)
    anonymous = bucket_place(tmp_path, s3, credentials_file=None).store
    assert "refuses callers without a key (403 AccessDenied)" in refusal(anonymous.current_version)


def test_a_key_without_the_right_to_write_may_read_and_is_told_when_it_writes(
    tmp_path: Path, server: S3Server
) -> None:
    store = bucket_place(tmp_path, server).store
    first, second = save(store), save(store, 1)
    store.promote(first)
    server.kill()
    server.start("--readonly")
    assert store.load().version == first
    for action in (lambda: save(store, 2), lambda: store.promote(second), lambda: store.prune(0)):
        assert f"refuses the key in {server.credentials_file} (403 AccessDenied)" in refusal(action)
    assert store.current_version() == first


def test_a_key_that_was_changed_is_taken_up_when_the_store_refuses_the_old_one(
    tmp_path: Path, s3: S3Server
) -> None:
    file = s3.write_credentials(tmp_path / "credentials", secret="expired")
    store = bucket_place(tmp_path, s3, credentials_file=file).store
    refusal(store.current_version)
    s3.write_credentials(file)
    store.promote(save(store))
    assert np.array_equal(store.load().weights, made_model().weights)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "no such file or directory"),
        ("aws_secret_access_key = hush", "is not in the form of ~/.aws/credentials"),
        ("[default]\nhush hush", "is not in the form of ~/.aws/credentials"),
        ("[other]\naws_access_key_id = a", "has no section [default]"),
        ("[default]\naws_access_key_id = a", "aws_secret_access_key of [default] is missing"),
        (
            "[default]\naws_access_key_id = a\naws_secret_access_key = hush\n  hush",
            "printable ASCII in one line",
        ),
    ],
)
def test_a_credentials_file_that_is_none_is_refused_without_being_quoted(
    tmp_path: Path, s3: S3Server, text: str | None, rule: str
) -> None:
    file = tmp_path / "credentials"
    if text is not None:
        file.write_text(text)
    message = refusal(lambda: bucket_place(tmp_path, s3, credentials_file=file).store)
    assert message.startswith(f"{file}: ")
    assert rule in message
    assert "hush" not in message


def test_variables_of_other_programs_change_nothing(
    place: Place, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "stranger",
        "AWS_SECRET_ACCESS_KEY": "stranger",
        "AWS_SESSION_TOKEN": "stranger",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_REGION": "eu-north-1",
        "AWS_SKIP_SIGNATURE": "true",
    }.items():
        monkeypatch.setenv(name, value)
    place.store.promote(save(place.store))
    anonymous = bucket_place(tmp_path, s3, credentials_file=None).store
    assert "callers without a key" in refusal(anonymous.current_version)


# Naming it


def test_a_bucket_that_is_missing_is_named(place: Place, s3: S3Server) -> None:
    store = ModelStore.open("s3://no-such-books/shop", **place.options)
    for action in (
        store.current_version,
        store.load,
        store.list,
        lambda: save(store),
        lambda: store.prune(1),
    ):
        message = refusal(action)
        assert message.startswith("s3://no-such-books/shop")
        assert message.endswith(f"{s3.endpoint} has no bucket no-such-books")


def test_another_region_is_refused(place: Place) -> None:
    store = ModelStore.open(place.name, **place.options, region="eu-north-1")
    assert "refuses the request (400 AuthorizationHeaderMalformed)" in refusal(store.current_version)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"url": "s3://"}, "is not s3://bucket/prefix"),
        ({"url": "gs://books"}, "is not s3://bucket/prefix"),
        ({"url": "s3://Books/shop"}, "is not s3://bucket/prefix"),
        ({"url": "s3://books/shop?x=1"}, "is not s3://bucket/prefix"),
        ({"endpoint": "bananas"}, "is not http://host:port or https://host:port"),
        ({"endpoint": "http://key:secret@store"}, "is not http://host:port or https://host:port"),
        ({"endpoint": "ftp://store"}, "is not http://host:port or https://host:port"),
        ({"region": "north\n"}, "is not a region"),
    ],
)
def test_addresses_that_are_none_are_refused(place: Place, changed: dict[str, Any], rule: str) -> None:
    options = {"url": place.name} | place.options | changed
    assert rule in refusal(lambda: ModelStore.open(**options))


def test_stores_under_two_prefixes_of_a_bucket_know_nothing_of_each_other(place: Place) -> None:
    one, other = place.store, ModelStore.open(f"{place.name}/deeper/", **place.options)
    first = save(one)
    one.promote(first)
    assert other.list() == []
    refusal(other.current_version, NoModel)
    second = save(other, 1)
    other.promote(second)
    assert (one.current_version(), other.current_version()) == (first, second)
    assert [each.version for each in one.list()] == [first]
    assert (one.load().version, other.load().version) == (first, second)
    whole_bucket = ModelStore.open(place.name.rpartition("/shops")[0], **place.options)
    assert whole_bucket.list() == []


# Publishing


@pytest.mark.parametrize("at", ["indices.npy", "manifest.json", "current"])
def test_a_publisher_that_is_killed_half_way_leaves_the_pointer_as_it_was(
    through_proxy: Place, proxy: Proxy, s3: S3Server, at: str
) -> None:
    store = ModelStore.open(through_proxy.name, **(through_proxy.options | {"endpoint": s3.endpoint}))
    version = save(store)
    store.promote(version)
    reached = threading.Event()

    def stop_there(sent: bytes) -> None:
        line = sent.partition(b"\r\n")[0]
        if line.startswith(b"PUT") and at.encode() in line:
            reached.set()
            proxy.hang(sent)

    proxy.hinder = stop_there
    options = through_proxy.options
    arguments = [through_proxy.name, proxy.endpoint, options["credentials_file"], options["cache_directory"]]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.models.publishing", *map(str, arguments)], cwd=REPOSITORY
    )
    try:
        assert reached.wait(30)
    finally:
        process.kill()
        process.wait(10)

    assert (store.current_version(), store.load().version) == (version, version)
    listed = {each.version: each.problem for each in store.list()}
    assert listed.pop(version) == ""
    ((unfinished, problem),) = listed.items()
    if at == "current":
        assert problem == ""
        return
    assert "it was not written to its end" in problem
    assert "does not exist" in refusal(lambda: store.promote(unfinished))
    store.prune(keep=0)
    assert (through_proxy.files / unfinished).exists()  # its owner might be alive
    for path in (through_proxy.files / unfinished).iterdir():
        os.utime(path, (time.time() - 7200,) * 2)
    store.prune(keep=0)
    assert list((through_proxy.files).glob(f"{unfinished}/*.npy")) == []
    assert store.load().version == version


def test_of_two_who_promote_at_once_one_wins_and_the_other_is_told(
    through_proxy: Place, proxy: Proxy, s3: S3Server
) -> None:
    quick = ModelStore.open(through_proxy.name, **(through_proxy.options | {"endpoint": s3.endpoint}))
    slow = ModelStore.open(through_proxy.name, **(through_proxy.options | {"request_seconds": 20}))
    first, second, third = save(quick), save(quick, 1), save(quick, 2)

    def overtaken_by(version: str) -> Callable[[bytes], None]:
        def let_the_other_go_first(sent: bytes) -> None:
            if sent.startswith(b"PUT") and b"/current " in sent.partition(b"\r\n")[0]:
                quick.promote(version)

        return let_the_other_go_first

    for winner in (first, second):  # with no pointer yet, and with one
        proxy.hinder = overtaken_by(winner)
        message = refusal(lambda: slow.promote(third))
        assert message == (
            f"{through_proxy.name}/current: another process promoted a model meanwhile; "
            f"`recommendations models list` tells which, {third} is not in use"
        )
        assert quick.current_version() == winner
    proxy.hinder = overtaken_by(third)
    slow.promote(third)  # the same change, made twice
    assert quick.rollback() == second


def test_a_promotion_whose_answer_was_lost_is_found_out(
    through_proxy: Place, proxy: Proxy, s3: S3Server
) -> None:
    store = through_proxy.store
    version = save(store)
    lost = []

    def lose_the_first_answer(sent: bytes) -> bytes | None:
        if lost or not sent.startswith(b"PUT") or b"/current " not in sent.partition(b"\r\n")[0]:
            return None
        with socket.create_connection(("127.0.0.1", s3.port)) as server:
            server.sendall(sent)
            lost.append(server.recv(1 << 16))
        return FAILED

    proxy.hinder = lose_the_first_answer
    store.promote(version)
    assert lost[0].startswith(b"HTTP/1.1 200")
    assert store.current_version() == version


def test_a_store_without_conditional_writes_is_used_and_that_is_said_once(
    through_proxy: Place, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse_conditions(sent: bytes) -> bytes | None:
        return UNSUPPORTED if b"\nif-match:" in sent.lower() or b"\nif-none-match:" in sent.lower() else None

    proxy.hinder = refuse_conditions
    store = through_proxy.store
    for number in range(3):
        version = save(store, number)
        store.promote(version)
        assert store.current_version() == version
    assert caplog.text.count("of two who promote at once the later one wins") == 1


def test_an_object_that_did_not_arrive_whole_is_noticed_at_once(through_proxy: Place, proxy: Proxy) -> None:
    def truncate_weights(sent: bytes) -> None:
        if sent.startswith(b"GET") and b"list-type=2" in sent:
            (path,) = through_proxy.files.glob("*/weights.npy")
            os.truncate(path, 10)

    proxy.hinder = truncate_weights
    message = refusal(lambda: save(through_proxy.store))
    assert message.endswith("bytes were uploaded, the store has 10")
    assert "weights.npy" in message


# Copies on this machine


def test_a_sound_copy_is_not_downloaded_again(through_proxy: Place, proxy: Proxy) -> None:
    version = save(through_proxy.store)
    through_proxy.store.load(version)
    proxy.requests.clear()
    assert np.array_equal(through_proxy.store.load(version).weights, made_model().weights)
    assert downloads(proxy) == []


@pytest.mark.parametrize("name", ["weights.npy", "manifest.json"])
def test_a_damaged_copy_is_downloaded_anew(
    through_proxy: Place, proxy: Proxy, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    version = save(through_proxy.store)
    through_proxy.store.load(version)
    damaged = through_proxy.cache / version / name
    flip_a_bit(damaged)
    assert np.array_equal(through_proxy.store.load(version).weights, made_model().weights)
    assert str(damaged) in caplog.text
    proxy.requests.clear()
    through_proxy.store.load(version)
    assert downloads(proxy) == []


def test_a_damaged_object_is_not_promoted_though_a_sound_copy_is_here(place: Place) -> None:
    store = place.store
    first, second = save(store), save(store, 1)
    store.promote(first)
    store.load(second)
    flip_a_bit(place.files / second / "weights.npy")
    assert refusal(lambda: store.promote(second)).startswith(
        f"{place.name}/{second}/weights.npy: was altered"
    )
    assert store.current_version() == first


def test_processes_that_share_the_copies_download_a_model_once(through_proxy: Place, proxy: Proxy) -> None:
    version = save(through_proxy.store)
    proxy.requests.clear()
    together = threading.Barrier(4)

    def load(_: int) -> np.ndarray:
        store = through_proxy.store
        together.wait(10)
        return store.load(version).weights

    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(load, range(4)))
    assert all(np.array_equal(each, made_model().weights) for each in loaded)
    assert len([line for line in downloads(proxy) if b"weights.npy" in line]) == 1
    assert [path.name for path in through_proxy.cache.iterdir() if path.name.startswith((".s", ".r"))] == []


def test_copies_of_the_model_in_use_and_the_one_before_stay(place: Place) -> None:
    store = place.store
    versions = [save(store, number) for number in range(4)]
    models = [store.load(version) for version in versions]
    kept = sorted(path.name for path in place.cache.iterdir() if not path.name.startswith("."))
    assert kept == [*versions[2:], "current"]
    assert np.array_equal(models[0].weights, made_model(seed=0).weights)  # mapped, though deleted


def test_what_a_process_left_that_died_while_downloading_is_cleared(place: Place) -> None:
    store = place.store
    store.load(save(store))
    left = place.cache / ".saving-left"
    left.mkdir()
    (left / "weights.npy").write_bytes(b"half")
    os.utime(left, (time.time() - 7200,) * 2)
    store.load(save(store, 1))
    assert not left.exists()


def test_a_full_disk_of_copies_is_told_and_leaves_nothing_behind(place: Place) -> None:
    version = save(place.store)
    limited = (
        "import resource, sys, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)); "
        "sys.argv = sys.argv[1:]; runpy.run_module('tests.models.loading', run_name='__main__')"
    )
    options = place.options
    arguments = [place.name, options["endpoint"], options["credentials_file"], options["cache_directory"]]
    done = subprocess.run(
        [sys.executable, "-c", limited, "loading", *map(str, arguments), version],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.endswith(".npy: file too large\n"), done.stderr
    assert str(place.cache) in done.stdout
    assert [path.name for path in place.cache.iterdir() if path.is_dir()] == []
    assert place.store.load(version).version == version
