"""A process that is killed loses nothing that it had acknowledged."""

import signal
import threading

import grpc
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1 import recommendation_service_pb2_grpc as stubs

from tests.system.processes import wait_until

BATCH = 5


def interaction(number: int) -> pb.Interaction:
    return pb.Interaction(
        interaction_id=f"crash-{number}",
        reader_id=900_001,
        book_id=number % 700 + 1,
        type=pb.INTERACTION_TYPE_READ,
    )


def test_every_acknowledged_interaction_survives_kill_9(serve, shop):
    service = serve(shop).wait_ready()
    acknowledged: list[int] = []

    def record_until_it_is_gone() -> None:
        with service.channel(shop.certificates) as channel:
            stub = stubs.RecommendationServiceStub(channel)
            for first in range(0, 100_000, BATCH):
                numbers = range(first, first + BATCH)
                request = pb.RecordInteractionsRequest(interactions=map(interaction, numbers))
                try:
                    stub.RecordInteractions(request, timeout=10)
                except grpc.RpcError:
                    return
                acknowledged.extend(numbers)

    writer = threading.Thread(target=record_until_it_is_gone)
    writer.start()
    wait_until(lambda: len(acknowledged) >= 40 * BATCH, "writes")
    service.signal(signal.SIGKILL)
    service.wait_exit()
    writer.join(30)
    assert not writer.is_alive()

    again = serve(shop).wait_ready()
    with again.channel(shop.certificates) as channel:
        stub = stubs.RecommendationServiceStub(channel)
        request = pb.RecordInteractionsRequest(interactions=map(interaction, acknowledged))
        answer = stub.RecordInteractions(request, timeout=10)
        assert (answer.recorded_count, answer.duplicate_count) == (0, len(acknowledged))
        # What was read before the crash is known to the very first answer after it.
        books = stub.Recommend(pb.RecommendRequest(reader_id=900_001, page_size=100), timeout=10).books
        assert not {book.book_id for book in books} & {number % 700 + 1 for number in acknowledged}
    assert again.stop() == 0
