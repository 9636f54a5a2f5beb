"""Answers CatalogueService: protobuf in, domain calls, protobuf out."""

from itertools import islice

import grpc
from onlinebooks.recommendations.v1 import book_pb2
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as pb
from onlinebooks.recommendations.v1.catalogue_service_pb2_grpc import (
    CatalogueServiceServicer as GeneratedServicer,
)

from service.domain.books import Book, book_violations
from service.domain.recommender import Recommender
from service.ledger import Ledger
from service.servicers.checking import Check
from service.servicers.pages import Pages

_MOST_BOOKS = 1000  # of a batch, and of a page of ListBooks: about a quarter of a megabyte
_DEFAULT_LIST = 100


class CatalogueServicer(GeneratedServicer):
    """CatalogueService of the v1 API; each method's contract stands in the proto file."""

    def __init__(self, recommender: Recommender, ledger: Ledger, pages: Pages) -> None:
        self._recommender, self._ledger, self._pages = recommender, ledger, pages

    def GetBook(self, request: pb.GetBookRequest, context: grpc.ServicerContext) -> pb.GetBookResponse:  # noqa: N802
        check = Check()
        check.identifier("book_id", request.book_id)
        check.done()
        return pb.GetBookResponse(book=_book_to_message(self._recommender.catalogue.book(request.book_id)))

    def ListBooks(self, request: pb.ListBooksRequest, context: grpc.ServicerContext) -> pb.ListBooksResponse:  # noqa: N802
        check = Check()
        size = check.page_size(request.page_size, _DEFAULT_LIST, _MOST_BOOKS)
        check.done()
        catalogue = self._recommender.catalogue
        if request.category:
            catalogue.wanted([request.category], "category")
        query = ("ListBooks", request.category)
        (last_id,) = self._pages.read(request.page_token, query) if request.page_token else (0,)
        books = list(islice(catalogue.books(last_id, request.category), size + 1))
        token = self._pages.issue([books[size - 1].id], query) if len(books) > size else ""
        return pb.ListBooksResponse(
            books=[_book_to_message(book) for book in books[:size]], next_page_token=token
        )

    def ListCategories(  # noqa: N802
        self, request: pb.ListCategoriesRequest, context: grpc.ServicerContext
    ) -> pb.ListCategoriesResponse:
        counts = self._recommender.catalogue.book_counts
        return pb.ListCategoriesResponse(
            categories=[pb.Category(slug=slug, book_count=count) for slug, count in counts.items()]
        )

    def UpsertBooks(  # noqa: N802
        self, request: pb.UpsertBooksRequest, context: grpc.ServicerContext
    ) -> pb.UpsertBooksResponse:
        check = Check()
        check.at_most("books", request.books, _MOST_BOOKS, least=1)
        check.done()
        books = [_book_from_message(message) for message in request.books]
        seen: set[int] = set()
        for index, book in enumerate(books):
            check.violations += book_violations(book, f"books[{index}].")
            if book.id in seen:
                check.refuse(f"books[{index}].id", book.id, "is there twice")
            seen.add(book.id)
            if check.is_full:
                break
        check.done()
        inserted, updated = self._ledger.upsert_books(books)
        return pb.UpsertBooksResponse(inserted_count=inserted, updated_count=updated)

    def DeleteBooks(  # noqa: N802
        self, request: pb.DeleteBooksRequest, context: grpc.ServicerContext
    ) -> pb.DeleteBooksResponse:
        check = Check()
        check.at_most("book_ids", request.book_ids, _MOST_BOOKS, least=1)
        check.done()
        for index, book_id in enumerate(request.book_ids):
            check.identifier(f"book_ids[{index}]", book_id)
            if check.is_full:
                break
        check.done()
        book_ids = list(dict.fromkeys(request.book_ids))
        deleted = self._ledger.delete_books(book_ids)
        return pb.DeleteBooksResponse(deleted_count=deleted, unknown_count=len(book_ids) - deleted)


def _book_to_message(book: Book) -> book_pb2.Book:
    return book_pb2.Book(
        id=book.id,
        title=book.title,
        authors=book.authors,
        year=book.year,
        language=book.language,
        series=book.series,
        series_position=book.series_position,
        work_id=book.work_id,
        categories=book.categories,
    )


def _book_from_message(message: book_pb2.Book) -> Book:
    return Book(
        id=message.id,
        title=message.title,
        authors=tuple(message.authors),
        year=message.year,
        language=message.language,
        series=message.series,
        series_position=message.series_position,
        work_id=message.work_id,
        categories=tuple(message.categories),
    )
