"""How long it takes until replicas know what another one acknowledged; knows nothing of how they learn it."""

import time
from collections.abc import Sequence

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.drills.load import MARK
from tests.drills.scene import Replica, Scene
from tests.world import Client

# The longest that the contract allows.
MOST_SECONDS = 2.0
# Behind this it is lost rather than late.
_PATIENCE_SECONDS = 20.0
_FIRST_READER = 8_000_000


def measure(scene: Scene, writer: Replica, others: Sequence[Replica], count: int) -> list[float]:
    """Return the seconds from acknowledgement on one to the effect in Recommend on the others."""
    recording = scene.client(writer)
    asking = [scene.client(other) for other in others]
    return [
        seconds for number in range(count) for seconds in _once(recording, asking, _FIRST_READER + number)
    ]


def _once(recording: Client, asking: Sequence[Client], reader_id: int) -> list[float]:
    """Let a new reader read what they are shown first, and wait until nobody shows them that again."""
    (shown, *_) = asking[0].recommendations.Recommend(pb.RecommendRequest(reader_id=reader_id)).books
    read = pb.Interaction(
        interaction_id=f"{MARK}lag-{reader_id}",
        reader_id=reader_id,
        book_id=shown.book_id,
        type=pb.INTERACTION_TYPE_READ,
    )
    recording.recommendations.RecordInteractions(pb.RecordInteractionsRequest(interactions=[read]))
    acknowledged = time.monotonic()
    waiting, lags = list(asking), []
    while waiting:
        for client in tuple(waiting):
            answer = client.recommendations.Recommend(pb.RecommendRequest(reader_id=reader_id))
            seconds = time.monotonic() - acknowledged
            if answer.strategy == pb.STRATEGY_PERSONAL:
                assert shown.book_id not in {book.book_id for book in answer.books}
                lags.append(seconds)
                waiting.remove(client)
            assert seconds < _PATIENCE_SECONDS, f"reader {reader_id} is not known after {seconds:.0f} s"
        time.sleep(0.002)  # three services and their clients share the cores with who asks
    return lags
