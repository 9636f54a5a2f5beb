"""A bucket's server that is away, hangs, is slow or talks nonsense, and what of it costs how much."""

import time
from pathlib import Path

import numpy as np
import pytest

from service.models import ModelsAway, NoModel
from tests.models.made_models import TRAINED_AT, made_model
from tests.models.places import Place, bucket_place, refusal, save
from tests.s3 import Proxy, S3Server

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


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
