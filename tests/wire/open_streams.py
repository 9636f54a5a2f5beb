"""A stream that a test holds open."""

import queue

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb


class OpenStream:
    """A RecommendMany that stays open until it is told to end."""

    def __init__(self, stub) -> None:
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self.answers = stub.RecommendMany(iter(self._requests.get, None))

    def ask(self) -> pb.RecommendManyResponse:
        """Send a request and wait for its answer."""
        request = pb.RecommendRequest(reader_id=1, page_size=1)
        self._requests.put(pb.RecommendManyRequest(request=request))
        return next(self.answers)

    def end_requests(self) -> None:
        """Send no more; gRPC's thread that takes requests from here ends."""
        self._requests.put(None)

    def end(self) -> list[pb.RecommendManyResponse]:
        """Send no more, and return the answers that are left."""
        self.end_requests()
        return list(self.answers)
