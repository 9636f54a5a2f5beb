import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Strategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STRATEGY_UNSPECIFIED: _ClassVar[Strategy]
    STRATEGY_PERSONAL: _ClassVar[Strategy]
    STRATEGY_SESSION: _ClassVar[Strategy]
    STRATEGY_POPULAR: _ClassVar[Strategy]
    STRATEGY_DEGRADED: _ClassVar[Strategy]
    STRATEGY_STALE: _ClassVar[Strategy]

class InteractionType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INTERACTION_TYPE_UNSPECIFIED: _ClassVar[InteractionType]
    INTERACTION_TYPE_VIEW: _ClassVar[InteractionType]
    INTERACTION_TYPE_WISHLIST: _ClassVar[InteractionType]
    INTERACTION_TYPE_PURCHASE: _ClassVar[InteractionType]
    INTERACTION_TYPE_READ: _ClassVar[InteractionType]
    INTERACTION_TYPE_RATING: _ClassVar[InteractionType]
    INTERACTION_TYPE_REMOVE: _ClassVar[InteractionType]
    INTERACTION_TYPE_NOT_INTERESTED: _ClassVar[InteractionType]
STRATEGY_UNSPECIFIED: Strategy
STRATEGY_PERSONAL: Strategy
STRATEGY_SESSION: Strategy
STRATEGY_POPULAR: Strategy
STRATEGY_DEGRADED: Strategy
STRATEGY_STALE: Strategy
INTERACTION_TYPE_UNSPECIFIED: InteractionType
INTERACTION_TYPE_VIEW: InteractionType
INTERACTION_TYPE_WISHLIST: InteractionType
INTERACTION_TYPE_PURCHASE: InteractionType
INTERACTION_TYPE_READ: InteractionType
INTERACTION_TYPE_RATING: InteractionType
INTERACTION_TYPE_REMOVE: InteractionType
INTERACTION_TYPE_NOT_INTERESTED: InteractionType

class Reason(_message.Message):
    __slots__ = ("kind", "because_book_id", "because_title", "share", "category", "series", "parts")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Reason.Kind]
        KIND_BECAUSE_YOU_READ: _ClassVar[Reason.Kind]
        KIND_POPULAR: _ClassVar[Reason.Kind]
        KIND_NEXT_IN_SERIES: _ClassVar[Reason.Kind]
    KIND_UNSPECIFIED: Reason.Kind
    KIND_BECAUSE_YOU_READ: Reason.Kind
    KIND_POPULAR: Reason.Kind
    KIND_NEXT_IN_SERIES: Reason.Kind
    class Part(_message.Message):
        __slots__ = ("book_id", "title", "share")
        BOOK_ID_FIELD_NUMBER: _ClassVar[int]
        TITLE_FIELD_NUMBER: _ClassVar[int]
        SHARE_FIELD_NUMBER: _ClassVar[int]
        book_id: int
        title: str
        share: float
        def __init__(self, book_id: _Optional[int] = ..., title: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_TITLE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    kind: Reason.Kind
    because_book_id: int
    because_title: str
    share: float
    category: str
    series: str
    parts: _containers.RepeatedCompositeFieldContainer[Reason.Part]
    def __init__(self, kind: _Optional[_Union[Reason.Kind, str]] = ..., because_book_id: _Optional[int] = ..., because_title: _Optional[str] = ..., share: _Optional[float] = ..., category: _Optional[str] = ..., series: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[Reason.Part, _Mapping]]] = ...) -> None: ...

class RecommendedBook(_message.Message):
    __slots__ = ("book_id", "title", "authors", "score", "reason")
    BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    AUTHORS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    book_id: int
    title: str
    authors: _containers.RepeatedScalarFieldContainer[str]
    score: float
    reason: Reason
    def __init__(self, book_id: _Optional[int] = ..., title: _Optional[str] = ..., authors: _Optional[_Iterable[str]] = ..., score: _Optional[float] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ...) -> None: ...

class RecommendRequest(_message.Message):
    __slots__ = ("reader_id", "recent_book_ids", "categories", "page_size", "page_token", "exclude_book_ids", "include_read", "languages", "every_category", "any_edition", "any_volume", "max_per_author", "diversity", "explain")
    READER_ID_FIELD_NUMBER: _ClassVar[int]
    RECENT_BOOK_IDS_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_BOOK_IDS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_READ_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    EVERY_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    ANY_EDITION_FIELD_NUMBER: _ClassVar[int]
    ANY_VOLUME_FIELD_NUMBER: _ClassVar[int]
    MAX_PER_AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    reader_id: int
    recent_book_ids: _containers.RepeatedScalarFieldContainer[int]
    categories: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    exclude_book_ids: _containers.RepeatedScalarFieldContainer[int]
    include_read: bool
    languages: _containers.RepeatedScalarFieldContainer[str]
    every_category: bool
    any_edition: bool
    any_volume: bool
    max_per_author: int
    diversity: float
    explain: bool
    def __init__(self, reader_id: _Optional[int] = ..., recent_book_ids: _Optional[_Iterable[int]] = ..., categories: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., exclude_book_ids: _Optional[_Iterable[int]] = ..., include_read: _Optional[bool] = ..., languages: _Optional[_Iterable[str]] = ..., every_category: _Optional[bool] = ..., any_edition: _Optional[bool] = ..., any_volume: _Optional[bool] = ..., max_per_author: _Optional[int] = ..., diversity: _Optional[float] = ..., explain: _Optional[bool] = ...) -> None: ...

class RecommendResponse(_message.Message):
    __slots__ = ("books", "next_page_token", "recommendation_id", "model_version", "strategy", "filled_count")
    BOOKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    FILLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    books: _containers.RepeatedCompositeFieldContainer[RecommendedBook]
    next_page_token: str
    recommendation_id: str
    model_version: str
    strategy: Strategy
    filled_count: int
    def __init__(self, books: _Optional[_Iterable[_Union[RecommendedBook, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., recommendation_id: _Optional[str] = ..., model_version: _Optional[str] = ..., strategy: _Optional[_Union[Strategy, str]] = ..., filled_count: _Optional[int] = ...) -> None: ...

class RecommendManyRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: RecommendRequest
    def __init__(self, request: _Optional[_Union[RecommendRequest, _Mapping]] = ...) -> None: ...

class RecommendManyResponse(_message.Message):
    __slots__ = ("response", "refusal")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    response: RecommendResponse
    refusal: Refusal
    def __init__(self, response: _Optional[_Union[RecommendResponse, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class SimilarBooksRequest(_message.Message):
    __slots__ = ("book_id", "categories", "page_size")
    BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    book_id: int
    categories: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    def __init__(self, book_id: _Optional[int] = ..., categories: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ...) -> None: ...

class SimilarBooksResponse(_message.Message):
    __slots__ = ("books", "recommendation_id", "model_version")
    BOOKS_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    books: _containers.RepeatedCompositeFieldContainer[RecommendedBook]
    recommendation_id: str
    model_version: str
    def __init__(self, books: _Optional[_Iterable[_Union[RecommendedBook, _Mapping]]] = ..., recommendation_id: _Optional[str] = ..., model_version: _Optional[str] = ...) -> None: ...

class PopularBooksRequest(_message.Message):
    __slots__ = ("category", "window", "page_size", "half_life", "trending")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_FIELD_NUMBER: _ClassVar[int]
    TRENDING_FIELD_NUMBER: _ClassVar[int]
    category: str
    window: _duration_pb2.Duration
    page_size: int
    half_life: _duration_pb2.Duration
    trending: bool
    def __init__(self, category: _Optional[str] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., page_size: _Optional[int] = ..., half_life: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., trending: _Optional[bool] = ...) -> None: ...

class PopularBooksResponse(_message.Message):
    __slots__ = ("books", "recommendation_id")
    BOOKS_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    books: _containers.RepeatedCompositeFieldContainer[RecommendedBook]
    recommendation_id: str
    def __init__(self, books: _Optional[_Iterable[_Union[RecommendedBook, _Mapping]]] = ..., recommendation_id: _Optional[str] = ...) -> None: ...

class Interaction(_message.Message):
    __slots__ = ("interaction_id", "reader_id", "book_id", "type", "rating", "occurred_at", "recommendation_id")
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    READER_ID_FIELD_NUMBER: _ClassVar[int]
    BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    interaction_id: str
    reader_id: int
    book_id: int
    type: InteractionType
    rating: float
    occurred_at: _timestamp_pb2.Timestamp
    recommendation_id: str
    def __init__(self, interaction_id: _Optional[str] = ..., reader_id: _Optional[int] = ..., book_id: _Optional[int] = ..., type: _Optional[_Union[InteractionType, str]] = ..., rating: _Optional[float] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recommendation_id: _Optional[str] = ...) -> None: ...

class RecordInteractionsRequest(_message.Message):
    __slots__ = ("interactions",)
    INTERACTIONS_FIELD_NUMBER: _ClassVar[int]
    interactions: _containers.RepeatedCompositeFieldContainer[Interaction]
    def __init__(self, interactions: _Optional[_Iterable[_Union[Interaction, _Mapping]]] = ...) -> None: ...

class RecordInteractionsResponse(_message.Message):
    __slots__ = ("recorded_count", "duplicate_count")
    RECORDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    recorded_count: int
    duplicate_count: int
    def __init__(self, recorded_count: _Optional[int] = ..., duplicate_count: _Optional[int] = ...) -> None: ...

class ForgetReaderRequest(_message.Message):
    __slots__ = ("reader_id",)
    READER_ID_FIELD_NUMBER: _ClassVar[int]
    reader_id: int
    def __init__(self, reader_id: _Optional[int] = ...) -> None: ...

class ForgetReaderResponse(_message.Message):
    __slots__ = ("deleted_interaction_count",)
    DELETED_INTERACTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    deleted_interaction_count: int
    def __init__(self, deleted_interaction_count: _Optional[int] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("version", "method", "trained_at", "book_count", "reader_count", "interaction_count", "metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    TRAINED_AT_FIELD_NUMBER: _ClassVar[int]
    BOOK_COUNT_FIELD_NUMBER: _ClassVar[int]
    READER_COUNT_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    version: str
    method: str
    trained_at: _timestamp_pb2.Timestamp
    book_count: int
    reader_count: int
    interaction_count: int
    metrics: _containers.ScalarMap[str, float]
    def __init__(self, version: _Optional[str] = ..., method: _Optional[str] = ..., trained_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., book_count: _Optional[int] = ..., reader_count: _Optional[int] = ..., interaction_count: _Optional[int] = ..., metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...
