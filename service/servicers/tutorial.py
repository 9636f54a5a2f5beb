"""Answers the tutorial's contract from the same recommender as the v1 API."""

from dataclasses import replace

import grpc
from recommendations_pb2 import (
    BookCategory,
    BookRecommendation,
    RecommendationRequest,
    RecommendationResponse,
)
from recommendations_pb2_grpc import RecommendationsServicer

from service.domain.answers import Query
from service.domain.catalogue import LARGEST_INT32
from service.domain.recommender import Recommender
from service.servicers.checking import LARGEST_PAGE, Check

# The catalogue's slug of each shelf that the tutorial knows.
SHELVES = {
    BookCategory.MYSTERY: "mystery",
    BookCategory.SCIENCE_FICTION: "science-fiction",
    BookCategory.GHOST_STORIES: "ghost-stories",
}


class TutorialServicer(RecommendationsServicer):
    """Recommendations.Recommend, as the tutorial's clients call it."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender

    def Recommend(  # noqa: N802 - the contract's name
        self, request: RecommendationRequest, context: grpc.ServicerContext
    ) -> RecommendationResponse:
        """Recommend books of one shelf; fewer than asked for, or none, where the shop has no more of it."""
        check = Check()
        check.between("user_id", request.user_id, 1, LARGEST_INT32)
        check.between("max_results", request.max_results, 1, LARGEST_PAGE)
        shelf = SHELVES.get(request.category)
        if shelf is None:
            check.refuse(
                "category", request.category, "is not MYSTERY (0), SCIENCE_FICTION (1) or GHOST_STORIES (2)"
            )
        check.done()
        catalogue = self._recommender.catalogue
        if shelf not in catalogue.book_counts:
            return RecommendationResponse()
        query = Query(
            reader_id=request.user_id,
            categories=(shelf,),
            # The id field of these clients has no room for them.
            exclude_book_ids=catalogue.ids_beyond_int32,
            places=request.max_results,
        )
        books = [each.book for each in self._recommender.recommend(query).suggestions]
        if len(books) < request.max_results:
            # Fewer only where the shelf holds no more: here at last come later volumes, other editions.
            query = replace(query, any_edition=True, any_volume=True, shown=[book.id for book in books])
            query.places -= len(books)
            books += [each.book for each in self._recommender.recommend(query).suggestions]
        return RecommendationResponse(
            recommendations=[BookRecommendation(id=book.id, title=book.title) for book in books]
        )
