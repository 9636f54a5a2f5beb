"""Turns a batch of interaction messages into the domain's, or names what is wrong with it."""

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.domain.catalogue import Catalogue
from service.domain.interactions import Interaction, InteractionType, interaction_violations
from service.servicers.checking import Check

_MOST_INTERACTIONS = 10_000  # about a second of work and 1.5 MB
_LARGEST_NANOS = 999_999_999  # what google.protobuf.Timestamp allows, and no parser enforces

_TYPES = {
    pb.INTERACTION_TYPE_VIEW: InteractionType.VIEW,
    pb.INTERACTION_TYPE_WISHLIST: InteractionType.WISHLIST,
    pb.INTERACTION_TYPE_PURCHASE: InteractionType.PURCHASE,
    pb.INTERACTION_TYPE_READ: InteractionType.READ,
    pb.INTERACTION_TYPE_RATING: InteractionType.RATING,
    pb.INTERACTION_TYPE_REMOVE: InteractionType.REMOVE,
    pb.INTERACTION_TYPE_NOT_INTERESTED: InteractionType.NOT_INTERESTED,
}
_NAMES = ", ".join(kind.name for kind in InteractionType)


def interactions_from_message(
    request: pb.RecordInteractionsRequest, catalogue: Catalogue, now: int
) -> list[Interaction]:
    """Return the batch in its order; raise InvalidInput. `now` is in microseconds since 1970 UTC.

    An id may stand twice only with the same content: the second one is a duplicate then, not a mistake.
    """
    check = Check()
    check.at_most("interactions", request.interactions, _MOST_INTERACTIONS, least=1)
    check.done()
    interactions: dict[str, tuple[int, Interaction]] = {}
    batch = []
    for index, message in enumerate(request.interactions):
        path = f"interactions[{index}]."
        kind = _TYPES.get(message.type)
        if kind is None:
            check.refuse(path + "type", message.type, f"is not one of {_NAMES}")
            kind = InteractionType.VIEW if not message.HasField("rating") else InteractionType.RATING
        interaction = Interaction(
            message.interaction_id,
            message.reader_id,
            message.book_id,
            kind,
            _microseconds(message) if message.HasField("occurred_at") else now,
            message.rating if message.HasField("rating") else None,
            message.recommendation_id,
        )
        if not 0 <= message.occurred_at.nanos <= _LARGEST_NANOS:
            check.refuse(
                path + "occurred_at",
                message.occurred_at.nanos,
                f"nanos are not between 0 and {_LARGEST_NANOS}",
            )
        check.violations += interaction_violations(interaction, now, path)
        if interaction.book_id > 0 and interaction.book_id not in catalogue:
            check.refuse(path + "book_id", interaction.book_id, "is not in the catalogue")
        first_index, first = interactions.setdefault(interaction.interaction_id, (index, interaction))
        if first != interaction:
            check.refuse(
                path + "interaction_id",
                interaction.interaction_id,
                f"stands in interactions[{first_index}] with other content",
            )
        batch.append(interaction)
        if check.is_full:
            break
    check.done()
    return batch


def _microseconds(message: pb.Interaction) -> int:
    return message.occurred_at.seconds * 1_000_000 + message.occurred_at.nanos // 1000
