"""Answers the tutorial's contract from the same recommender as the v1 API."""

import grpc
from recommendations_pb2 import (
    BookCategory,
    BookRecommendation,
    RecommendationRequest,
    RecommendationResponse,
)
from recommendations_pb2_grpc import RecommendationsServicer

from service.domain.recommender import Query, Recommender
from service.servicers.checking import LARGEST_PAGE, Check

# The catalogue's slug of each shelf that the tutorial knows.
SHELVES = {
    BookCategory.MYSTERY: "mystery",
    BookCategory.SCIENCE_FICTION: "science-fiction",
    BookCategory.GHOST_STORIES: "ghost-stories",
}

# Ids are int64 in the catalogue and int32 here.
_LARGEST_INT32 = 2**31 - 1


class TutorialServicer(RecommendationsServicer):
    """Recommendations.Recommend, as the tutorial's clients call it."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender

    def Recommend(  # noqa: N802 - the contract's name
        self, request: RecommendationRequest, context: grpc.ServicerContext
    ) -> RecommendationResponse:
        """Recommend books of one shelf; fewer than asked for, or none, where the shop has no more of it."""
        check = Check()
        check.between("user_id", request.user_id, 1, _LARGEST_INT32)
        check.between("max_results", request.max_results, 1, LARGEST_PAGE)
        shelf = SHELVES.get(request.category)
        if shelf is None:
            check.refuse(
                "category", request.category, "is not MYSTERY (0), SCIENCE_FICTION (1) or GHOST_STORIES (2)"
            )
        check.done()
        if shelf not in self._recommender.catalogue.book_counts:
            return RecommendationResponse()
        answer = self._recommender.recommend(
            Query(reader_id=request.user_id, categories=(shelf,), places=request.max_results)
        )
        # Books whose ids are larger cannot be named to these clients.
        return RecommendationResponse(
            recommendations=[
                BookRecommendation(id=each.book.id, title=each.book.title)
                for each in answer.suggestions
                if each.book.id <= _LARGEST_INT32
            ]
        )
