"""Calls of every kind, for as long as they are wanted; knows nothing of who counts them."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.wire.batches import a_batch, an_interaction
from tests.world import Client

_JOIN_SECONDS = 30


@contextmanager
def load_on(client: Client) -> Iterator[None]:
    """Ask and tell without pause during a block."""
    over = threading.Event()
    thread = threading.Thread(target=_call_until, args=(client, over), daemon=True)
    thread.start()
    yield
    over.set()
    thread.join(_JOIN_SECONDS)


def _call_until(client: Client, over: threading.Event) -> None:
    stub = client.recommendations
    for number in itertools.count(1):
        if over.wait(0.01):
            return
        answer = stub.Recommend(pb.RecommendRequest(reader_id=number % 800 + 1))
        stub.Recommend(pb.RecommendRequest(recent_book_ids=[1]))
        stub.Recommend(pb.RecommendRequest(reader_id=10**12))
        stub.SimilarBooks(pb.SimilarBooksRequest(book_id=1))
        stub.PopularBooks(pb.PopularBooksRequest())
        named = an_interaction(
            f"load-{number}",
            reader_id=number % 800 + 1,
            book_id=answer.books[0].book_id,
            recommendation_id=answer.recommendation_id,
        )
        stub.RecordInteractions(a_batch(named))
