"""Reads a request for recommendations: protobuf in, a checked query of the domain out."""

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.domain.answers import Query
from service.domain.books import is_language
from service.domain.catalogue import Catalogue
from service.domain.popularity import Span
from service.servicers.checking import MOST_CATEGORIES, Check

_MOST_RECENT_BOOKS = 100
_MOST_EXCLUDED_BOOKS = 1000
_MOST_LANGUAGES = 20
_LARGEST_AUTHOR_CAP = 100
_SHORTEST_WINDOW_SECONDS, _LONGEST_WINDOW_SECONDS = 3600, 3650 * 86_400


def query_from_message(request: pb.RecommendRequest, catalogue: Catalogue) -> Query:
    """Return the query of a request, as for a first page; raise InvalidInput with all that it breaks."""
    check = Check()
    if request.reader_id < 0:
        check.identifier("reader_id", request.reader_id)
    recent, categories = tuple(request.recent_book_ids), tuple(request.categories)
    excluded, languages = tuple(request.exclude_book_ids), tuple(request.languages)
    if recent:
        if request.reader_id:
            check.refuse("recent_book_ids", len(recent), "entries and a reader_id exclude each other")
        check.at_most("recent_book_ids", recent, _MOST_RECENT_BOOKS)
        for index, book_id in enumerate(recent[:_MOST_RECENT_BOOKS]):
            if book_id not in catalogue:
                check.refuse(f"recent_book_ids[{index}]", book_id, "is not in the catalogue")
    check.at_most("categories", categories, MOST_CATEGORIES)
    check.at_most("exclude_book_ids", excluded, _MOST_EXCLUDED_BOOKS)
    if languages:
        check.at_most("languages", languages, _MOST_LANGUAGES)
        for index, language in enumerate(languages[:_MOST_LANGUAGES]):
            if not is_language(language):
                check.refuse(f"languages[{index}]", language, 'is not a BCP 47 tag such as "en" or "pt-BR"')
    check.between("max_per_author", request.max_per_author, 0, _LARGEST_AUTHOR_CAP)
    check.between("diversity", request.diversity, 0, 1)  # also refuses NaN
    places = check.page_size(request.page_size)
    check.done()
    return Query(
        reader_id=request.reader_id,
        recent_book_ids=recent,
        categories=categories,
        every_category=request.every_category,
        languages=languages,
        exclude_book_ids=excluded,
        include_read=request.include_read,
        any_edition=request.any_edition,
        any_volume=request.any_volume,
        most_per_author=request.max_per_author,
        diversity=request.diversity,
        explain=request.explain,
        places=places,
    )


def spans_from_message(request: pb.PopularBooksRequest, now: int, check: Check) -> tuple[Span, Span | None]:
    """Return the span that a request counts, and the one before it where rises are asked for."""
    window = _microseconds(request, "window", check)
    half_life = _microseconds(request, "half_life", check)
    since = None if window is None else now - window
    if not request.trending:
        return Span(since, half_life=half_life, now=now), None
    if half_life is not None:
        check.refuse("half_life", f"{half_life / 1e6:.15g}s", "and trending exclude each other")
    if window is None or since is None:
        check.refuse("trending", True, "needs a window")
        return Span(), None
    return Span(since), Span(since - window, since)


def _microseconds(request: pb.PopularBooksRequest, field: str, check: Check) -> int | None:
    if not request.HasField(field):
        return None
    duration = getattr(request, field)
    seconds = duration.seconds + duration.nanos / 1e9
    if not 0 <= duration.nanos < 1_000_000_000:
        check.refuse(f"{field}.nanos", duration.nanos, "is not between 0 and 999999999")
    elif not _SHORTEST_WINDOW_SECONDS <= seconds <= _LONGEST_WINDOW_SECONDS:
        check.refuse(field, f"{seconds:.15g}s", "is not between 1 hour and 3650 days")
    return int(seconds * 1e6)
