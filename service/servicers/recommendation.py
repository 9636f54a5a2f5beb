"""Answers RecommendationService: protobuf in, domain calls, protobuf out."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import (
    RecommendationServiceServicer as GeneratedServicer,
)

from service.domain.answers import Answer, Query, Strategy, Suggestion
from service.domain.errors import Unavailable
from service.domain.exposures import Exposure
from service.domain.interactions import Interaction
from service.domain.kept import Kept
from service.domain.recommender import MOST_KEPT_SHOWN, Recommender
from service.exposures import Exposures
from service.handler_threads import on_pool
from service.ledger import Ledger
from service.operations.metrics import ServiceMetrics
from service.servicers.answer_ids import SIMILAR, AnswerIds, origin_of
from service.servicers.checking import MOST_CATEGORIES, Check
from service.servicers.errors import status_of
from service.servicers.interactions import interactions_from_message
from service.servicers.pages import OutdatedPage, Pages
from service.servicers.queries import query_from_message, spans_from_message
from service.servicers.recommended_books import RecommendedBooks, outcome

_MODEL_RETRY_SECONDS = 30.0  # the first training takes seconds to minutes

_STRATEGIES = {
    Strategy.PERSONAL: pb.STRATEGY_PERSONAL,
    Strategy.STALE: pb.STRATEGY_STALE,
    Strategy.SESSION: pb.STRATEGY_SESSION,
    Strategy.POPULAR: pb.STRATEGY_POPULAR,
    Strategy.DEGRADED: pb.STRATEGY_DEGRADED,
}


class RecommendationServicer(GeneratedServicer):
    """RecommendationService of the v1 API; each method's contract stands in the proto file.

    Replies with books leave here in wire format: the message without them, and behind it the books.
    """

    def __init__(
        self,
        recommender: Recommender,
        ledger: Ledger,
        pages: Pages,
        metrics: ServiceMetrics,
        now: Callable[[], int],
        streams: ThreadPoolExecutor,
        writers: ThreadPoolExecutor,
        kept_answers: int,
        ids: AnswerIds,
        exposures: Exposures,
    ) -> None:
        """Serve; `now` tells the time in µs since 1970 UTC. Streams and changes have threads of their own."""
        self._recommender, self._ledger, self._pages = recommender, ledger, pages
        self._metrics, self._now, self._exposures = metrics, now, exposures
        self._books = RecommendedBooks()
        self._kept = Kept[bytes](kept_answers)
        self.RecommendMany = on_pool(self._recommend_many, streams)  # type: ignore[method-assign]
        self.RecordInteractions = on_pool(self._record_interactions, writers)  # type: ignore[method-assign]
        self.ForgetReader = on_pool(self._forget_reader, writers)  # type: ignore[method-assign]
        self._ids = ids

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> bytes:  # noqa: N802
        return self._recommend(request)

    def _recommend_many(
        self, requests: Iterable[pb.RecommendManyRequest], context: grpc.ServicerContext
    ) -> Iterator[bytes | pb.RecommendManyResponse]:
        for each in requests:
            try:
                yield outcome(self._recommend(each.request))
            except Exception as error:
                status = status_of(error)
                if status is None:
                    raise
                refusal = pb.Refusal(code=status.code.value[0], message=status.message)
                yield pb.RecommendManyResponse(refusal=refusal)

    def SimilarBooks(  # noqa: N802
        self, request: pb.SimilarBooksRequest, context: grpc.ServicerContext
    ) -> bytes:
        check = Check()
        check.identifier("book_id", request.book_id)
        check.at_most("categories", request.categories, MOST_CATEGORIES)
        places = check.page_size(request.page_size)
        check.done()
        answer = self._recommender.similar(request.book_id, request.categories, places)
        reply = pb.SimilarBooksResponse(
            recommendation_id=self._answer_id(SIMILAR, answer.model_version, answer.suggestions),
            model_version=answer.model_version,
        )
        return reply.SerializeToString() + self._books.encoded(answer.suggestions)

    def PopularBooks(  # noqa: N802
        self, request: pb.PopularBooksRequest, context: grpc.ServicerContext
    ) -> bytes:
        check = Check()
        places = check.page_size(request.page_size)
        span, before = spans_from_message(request, self._now(), check)
        check.done()
        books = self._recommender.popular(request.category, places, span, before)
        reply = pb.PopularBooksResponse(recommendation_id=self._answer_id(Strategy.POPULAR, "", books))
        return reply.SerializeToString() + self._books.encoded(books, request.category)

    def _record_interactions(
        self, request: pb.RecordInteractionsRequest, context: grpc.ServicerContext
    ) -> pb.RecordInteractionsResponse:
        interactions = interactions_from_message(request, self._recommender.catalogue, self._now())
        began = time.perf_counter()
        new = self._ledger.record(interactions)
        recorded = sum(new)
        self._metrics.recorded(recorded, time.perf_counter() - began)
        # Sent again they are no second outcome.
        self._count_outcomes(itertools.compress(interactions, new))
        return pb.RecordInteractionsResponse(
            recorded_count=recorded, duplicate_count=len(interactions) - recorded
        )

    def _forget_reader(
        self, request: pb.ForgetReaderRequest, context: grpc.ServicerContext
    ) -> pb.ForgetReaderResponse:
        check = Check()
        check.identifier("reader_id", request.reader_id)
        check.done()
        deleted = self._ledger.forget_reader(request.reader_id)
        self._kept.clear()
        return pb.ForgetReaderResponse(deleted_interaction_count=deleted)

    def GetModel(self, request: pb.GetModelRequest, context: grpc.ServicerContext) -> pb.GetModelResponse:  # noqa: N802
        model = self._recommender.model
        if model is None:
            raise Unavailable("no model is in use yet", retry_seconds=_MODEL_RETRY_SECONDS)
        response = pb.GetModelResponse(
            version=model.version,
            method=model.method,
            book_count=len(model.book_ids),
            reader_count=model.reader_count,
            interaction_count=model.interaction_count,
            metrics=model.metrics,
        )
        response.trained_at.FromMicroseconds(model.trained_at)
        return response

    def _recommend(self, request: pb.RecommendRequest) -> bytes:
        query = query_from_message(request, self._recommender.catalogue)
        model = self._recommender.model
        basis = model.version if model else ""
        listed = query.filters()
        if request.page_token:
            query.shown = self._pages.read(request.page_token, listed, basis)
        answer = self._recommender.recommend(query)
        if request.page_token and answer.model_version != basis:
            raise OutdatedPage  # the model was swapped just now
        # A page behind the last one is empty for a good reason.
        is_empty = not answer.suggestions and not query.shown
        self._metrics.answered(answer.strategy, answer.filled, is_empty=is_empty)
        place = (listed, query.explain, query.shown, query.places)
        encoded = self._kept.get(place, answer)
        if encoded is None:
            encoded = self._encoded(query, listed, answer)
            # An answer to nobody in particular is not asked for again.
            if query.reader_id and len(query.shown) <= MOST_KEPT_SHOWN:
                self._kept.put(place, encoded, answer)
        name = self._answer_id(answer.strategy, answer.model_version, answer.suggestions)
        return pb.RecommendResponse(recommendation_id=name).SerializeToString() + encoded

    def _encoded(self, query: Query, listed: tuple[object, ...], answer: Answer) -> bytes:
        """Return the reply to a query in wire format, all but its recommendation_id."""
        token = ""
        if answer.more:
            shown = [*query.shown, *(each.book.id for each in answer.suggestions)]
            token = self._pages.issue(shown, listed, answer.model_version)
        reply = pb.RecommendResponse(
            next_page_token=token,
            model_version=answer.model_version,
            strategy=_STRATEGIES[answer.strategy],
            filled_count=answer.filled,
        )
        category = query.categories[0] if len(query.categories) == 1 else ""
        return reply.SerializeToString() + self._books.encoded(answer.suggestions, category)

    def _answer_id(self, strategy: str, model_version: str, shown: Sequence[Suggestion]) -> str:
        """Name an answer, count what it shows, and let it be stored where it is sampled."""
        self._metrics.shown(strategy, model_version, len(shown))
        name, is_sampled = self._ids.issue(strategy, model_version)
        if is_sampled:
            book_ids = tuple(each.book.id for each in shown)
            self._exposures.add(Exposure(name, self._now(), str(strategy), model_version, book_ids))
        return name

    def _count_outcomes(self, interactions: Iterable[Interaction]) -> None:
        outcomes = Counter(
            (each.recommendation_id, each.type) for each in interactions if each.recommendation_id
        )
        for (answer_id, kind), count in outcomes.items():
            if origin := origin_of(answer_id):
                self._metrics.taken(origin.strategy, origin.model_digits, kind.name.lower(), count)
