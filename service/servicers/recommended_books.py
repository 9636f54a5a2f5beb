"""Writes the books of a reply in protobuf's wire format, from kept pieces; knows nothing of requests.

What a reply says of a book is the same every time but for two numbers. Ten books made as message objects cost
more than ranking them; joined from pieces they cost a fraction of it. Behind a serialised message they are
its field `books`, because messages in wire format are joined by concatenation.
https://protobuf.dev/programming-guides/encoding/ describes the format.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.domain.answers import Suggestion
from service.domain.books import Book

_FIXED64, _DELIMITED = 1, 2  # wire types
Piece = TypeVar("Piece")
_double = struct.Struct("<d").pack
_DOUBLE_BYTES = 8
# Of each kind. Most answers name few of many books; a piece takes some hundred bytes, and µs to make.
_MOST_KEPT = 16_384


def _tag(field_number: int, wire_type: int) -> bytes:
    return bytes([field_number << 3 | wire_type])  # one byte, up to field 15


_RESPONSE = _tag(pb.RecommendManyResponse.RESPONSE_FIELD_NUMBER, _DELIMITED)
_BOOKS = _tag(pb.RecommendResponse.BOOKS_FIELD_NUMBER, _DELIMITED)
_SCORE = _tag(pb.RecommendedBook.SCORE_FIELD_NUMBER, _FIXED64)
_REASON = _tag(pb.RecommendedBook.REASON_FIELD_NUMBER, _DELIMITED)
_SHARE = _tag(pb.Reason.SHARE_FIELD_NUMBER, _FIXED64)


class RecommendedBooks:
    """Turns suggestions into the field `books` of a reply: the same field in all replies that have one.

    Keeps pieces of the books that were suggested lately. Any number of threads may ask.
    """

    def __init__(self) -> None:
        # Each with what it was made from: a book may be replaced.
        self._bodies: dict[int, tuple[Book, bytes]] = {}
        self._reasons: dict[int, tuple[str, bytes]] = {}

    def encoded(self, suggestions: Iterable[Suggestion], category: str = "") -> bytes:
        """Return the field in wire format; `category` is where popular ones are popular."""
        pieces: list[bytes] = []
        for book, score, because_id, because_title, share in suggestions:
            body = self._bodies.get(book.id)
            if body is None or body[0] is not book:
                # The same book may be another object: it is decoded anew every now and then.
                body = (book, _body(book) if body is None or body[0] != book else body[1])
                _keep(self._bodies, book.id, body)
            if because_id:
                reason = self._reasons.get(because_id)
                if reason is None or reason[0] != because_title:
                    reason = (because_title, _learned_reason(because_id, because_title))
                    _keep(self._reasons, because_id, reason)
                size = len(body[1]) + _DOUBLE_BYTES + len(reason[1]) + _DOUBLE_BYTES
                pieces += (_head(size), body[1], _double(score), reason[1], _double(share))
            else:
                whole_reason = _popular_reason(category)
                size = len(body[1]) + _DOUBLE_BYTES + len(whole_reason)
                pieces += (_head(size), body[1], _double(score), whole_reason)
        return b"".join(pieces)


def _keep(kept: dict[int, Piece], book_id: int, piece: Piece) -> None:
    if len(kept) >= _MOST_KEPT and book_id not in kept:
        kept.clear()  # starting anew costs no book-keeping on the way
    kept[book_id] = piece


def outcome(reply: bytes) -> bytes:
    """Return the RecommendManyResponse, in wire format, that holds a RecommendResponse in wire format."""
    return _RESPONSE + _varint(len(reply)) + reply


def _body(book: Book) -> bytes:
    """Return all fields of a RecommendedBook up to the tag of its score."""
    message = pb.RecommendedBook(book_id=book.id, title=book.title, authors=book.authors)
    return message.SerializeToString() + _SCORE


def _learned_reason(because_id: int, because_title: str) -> bytes:
    """Return the field `reason` up to the tag of its share."""
    message = pb.Reason(
        kind=pb.Reason.KIND_BECAUSE_YOU_READ, because_book_id=because_id, because_title=because_title
    )
    content = message.SerializeToString() + _SHARE
    return _REASON + _varint(len(content) + _DOUBLE_BYTES) + content


@lru_cache(1024)  # categories are tens
def _popular_reason(category: str) -> bytes:
    content = pb.Reason(kind=pb.Reason.KIND_POPULAR, category=category).SerializeToString()
    return _REASON + _varint(len(content)) + content


@lru_cache(4096)  # sizes that books have: hundreds
def _head(size: int) -> bytes:
    """Return what stands before a book of so many bytes."""
    return _BOOKS + _varint(size)


def _varint(number: int) -> bytes:
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])
