"""The whole service on a place of models, and callers that keep asking it; knows no tests."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.training import TrainingSettings
from tests.models.places import Place
from tests.world import Client, RunningApp, Shop

CHECK_SECONDS = 0.1
Start = Callable[..., RunningApp]


def settings(place: Place) -> dict[str, Any]:
    """Return the service's settings for a place."""
    names = ("endpoint", "credentials_file", "ca_file")
    options = {f"models_{name}": place.options[name] for name in names if name in place.options}
    return options | {
        "models_url": place.name,
        "models_cache_directory": place.options["cache_directory"],
        "model_check_seconds": CHECK_SECONDS,
    }


def publish(shop: Shop, place: Place) -> list[str]:
    """Save two models of the shop in a place, promote the first, and return their versions."""
    shop.train(TrainingSettings(neighbour_count=20))
    versions = []
    for summary in shop.models.list():
        model, manifest = shop.models.load(summary.version), shop.models.manifest(summary.version)
        versions.append(
            place.store.save(model, settings=manifest["settings"], data_digest=manifest["data_digest"])
        )
    place.store.promote(versions[0])
    return versions


def version(client: Client) -> str:
    """Return the version that answers."""
    answered: str = client.recommendations.GetModel(pb.GetModelRequest()).version
    return answered


def loads(service: RunningApp, result: str) -> float:
    """Return how many models were taken up ("success"), or could not be ("failure")."""
    return service.metrics()[f'recommendations_model_loads_total{{result="{result}"}}']


def condition(service: RunningApp) -> tuple[bool, str]:
    """Return whether a model answers, and what is said of it, from /readyz."""
    told = json.loads(service.get("/readyz"))["conditions"]["model"]
    return told["value"], told["reason"]


@contextmanager
def callers(client: Client, failures: list[Exception]) -> Iterator[set[str]]:
    """Keep calling from two threads; gives the versions of the models that have answered."""
    done, answered = threading.Event(), set()

    def keep_calling(reader: int) -> None:
        while not done.is_set():
            try:
                answer = client.recommendations.Recommend(pb.RecommendRequest(reader_id=reader), timeout=10)
                assert len(answer.books) == 10
                answered.add(answer.model_version)
            except (grpc.RpcError, AssertionError) as failure:
                failures.append(failure)

    threads = [threading.Thread(target=keep_calling, args=(reader,)) for reader in (7, 42)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        done.set()
        for thread in threads:
            thread.join()
