"""The books of a reply, joined from pieces: the same as protobuf's own way of writing them."""

from hypothesis import given
from hypothesis import strategies as st
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.domain.answers import Part, Suggestion
from service.domain.books import Book
from service.servicers.recommended_books import RecommendedBooks, outcome

# Long enough for lengths of one, two and three bytes on the wire.
TITLES = st.one_of(st.text(max_size=20), st.integers(100, 20_000).map(lambda length: "é" * length))
IDS = st.integers(1, 2**63 - 1)
BOOKS = st.builds(Book, id=IDS, title=TITLES, authors=st.lists(TITLES, max_size=3).map(tuple))
SHARES = st.floats(0, 1, exclude_min=True)
PARTS = st.builds(Part, IDS, TITLES, SHARES)
LEARNED = st.builds(
    Suggestion,
    BOOKS,
    st.floats(0, 1e6),
    IDS,
    because_title=TITLES,
    share=SHARES,
    volume_before=st.one_of(st.none(), PARTS),
    parts=st.lists(PARTS, max_size=3).map(tuple),
)
POPULAR = st.tuples(BOOKS, st.floats(0, 1e6)).map(lambda pair: Suggestion(*pair))


def made_by_protobuf(suggestion: Suggestion, category: str) -> pb.RecommendedBook:
    if suggestion.because_id:
        reason = pb.Reason(
            kind=pb.Reason.KIND_BECAUSE_YOU_READ,
            because_book_id=suggestion.because_id,
            because_title=suggestion.because_title,
            share=suggestion.share,
        )
    else:
        reason = pb.Reason(kind=pb.Reason.KIND_POPULAR, category=category)
    for part in suggestion.parts:
        reason.parts.add(book_id=part.book_id, title=part.title, share=part.share)
    if before := suggestion.volume_before:
        reason.kind, reason.series = pb.Reason.KIND_NEXT_IN_SERIES, suggestion.book.series
        reason.because_book_id, reason.because_title = before.book_id, before.title
        reason.ClearField("share")
    book = suggestion.book
    return pb.RecommendedBook(
        book_id=book.id, title=book.title, authors=book.authors, score=suggestion.score, reason=reason
    )


def reply_of(
    books: RecommendedBooks, suggestions: list[Suggestion], category: str = ""
) -> pb.RecommendResponse:
    rest = pb.RecommendResponse(recommendation_id="kept").SerializeToString()
    return pb.RecommendResponse.FromString(rest + books.encoded(suggestions, category))


@given(st.lists(st.one_of(LEARNED, POPULAR), max_size=5), st.sampled_from(["", "mystery", "é" * 64]))
def test_the_reply_is_what_protobuf_would_have_made(suggestions, category):
    expected = pb.RecommendResponse(
        recommendation_id="kept", books=[made_by_protobuf(each, category) for each in suggestions]
    )
    assert reply_of(RecommendedBooks(), suggestions, category) == expected


@given(st.lists(LEARNED, max_size=5))
def test_an_outcome_holds_its_reply(suggestions):
    encoded = RecommendedBooks().encoded(suggestions)
    expected = pb.RecommendManyResponse(response=pb.RecommendResponse.FromString(encoded))
    assert pb.RecommendManyResponse.FromString(outcome(encoded)) == expected


def test_all_replies_with_books_have_them_in_the_same_field():
    encoded = RecommendedBooks().encoded([Suggestion(Book(1, "One"), 2.0)])
    for kind in (pb.RecommendResponse, pb.SimilarBooksResponse, pb.PopularBooksResponse):
        assert [book.title for book in kind.FromString(encoded).books] == ["One"]


def test_a_book_that_was_replaced_shows_its_new_title():
    books = RecommendedBooks()
    reply_of(books, [Suggestion(Book(1, "Old"), 1.0, because_id=2, because_title="Old source", share=0.5)])
    reply = reply_of(
        books, [Suggestion(Book(1, "New"), 1.0, because_id=2, because_title="New source", share=0.5)]
    )
    assert (reply.books[0].title, reply.books[0].reason.because_title) == ("New", "New source")


def test_the_same_book_decoded_anew_gives_the_same_reply_from_the_same_piece():
    books = RecommendedBooks()
    first, again = (Book(1, "One", ("A. Uthor",)) for _ in range(2))
    assert first is not again
    assert reply_of(books, [Suggestion(first, 1.0)]) == reply_of(books, [Suggestion(again, 1.0)])
    assert list(books._bodies) == [1]


def test_pieces_are_kept_of_a_bounded_number_of_books():
    books = RecommendedBooks()
    for book_id in range(1, 40_000):
        encoded = books.encoded([Suggestion(Book(book_id, "A"), 1.0, book_id, "A", 0.5)])
    assert pb.RecommendResponse.FromString(encoded).books[0].book_id == 39_999
    assert max(len(books._bodies), len(books._reasons)) <= 16_384
