"""Batches of interactions that tests record."""

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.world import RunningApp

_SERVICE = pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name
NEWCOMER = 900_001  # a reader that the sample does not have


def an_interaction(interaction_id: str = "one", **fields) -> pb.Interaction:
    """Return a valid one, with the fields that the test is about."""
    values = {"reader_id": NEWCOMER, "book_id": 1, "type": pb.INTERACTION_TYPE_READ} | fields
    return pb.Interaction(interaction_id=interaction_id, **values)


def a_batch(*interactions: pb.Interaction) -> pb.RecordInteractionsRequest:
    return pb.RecordInteractionsRequest(interactions=interactions)


def reads(count: int, prefix: str = "read") -> pb.RecordInteractionsRequest:
    """Return a batch in which each of many readers reads a book."""
    return a_batch(*(an_interaction(f"{prefix}-{n}", reader_id=NEWCOMER + n) for n in range(count)))


def writes_begun(service: RunningApp) -> float:
    """Tell how many batches the service has begun with since its start."""
    labels = f'grpc_method="RecordInteractions",grpc_service="{_SERVICE}",grpc_type="unary"'
    return service.metrics()[f"grpc_server_started_total{{{labels}}}"]
