"""Publishing into a bucket: half-way deaths, two at once, lost answers, objects that did not arrive whole."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.models import ModelStore
from service.models.errors import Overtaken
from tests.models.places import REPOSITORY, Place, refusal, save
from tests.s3 import Proxy, S3Server

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
UNSUPPORTED = b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


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


def test_the_pointer_is_valid_at_every_moment_of_promotions_at_once(place: Place) -> None:
    versions = [save(place.store, number) for number in range(3)]
    place.store.promote(versions[0])

    def promote_each(_: int) -> int:
        store, overtaken = place.store, 0
        for version in versions * 3:
            try:
                store.promote(version)
            except Overtaken:
                overtaken += 1
        return overtaken

    reader = place.store
    with ThreadPoolExecutor(3) as pool:
        publishers = [pool.submit(promote_each, number) for number in range(3)]
        while not all(each.done() for each in publishers):
            assert reader.load().version in versions
    assert sum(each.result() for each in publishers) < 3 * 9  # somebody wins every time
    assert set((place.files / "current").read_text().split()) <= set(versions)
    assert reader.load().version == reader.current_version()
