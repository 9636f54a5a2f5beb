"""What `call` prints: replies as tables or JSON, refusals with their details; calls nothing."""

import json
from typing import TYPE_CHECKING, Any

import click

from service.cli.console import complain, wide_console

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.table import Table


def show(reply: "Message", as_json: bool) -> None:
    """Print a reply: recommended books as a table, unless JSON is wanted; everything else as JSON."""
    from google.protobuf import json_format

    fields = json_format.MessageToDict(reply, preserving_proto_field_name=True)
    books = getattr(reply, "books", None)
    if as_json or not books or not hasattr(books[0], "reason"):
        click.echo(json.dumps(fields, indent=2, ensure_ascii=False))
        return
    wide_console().print(_table(books))
    fields.pop("books")
    click.echo("  ".join(f"{name}={value}" for name, value in fields.items()))


def _table(books: Any) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in ("#", "book", "title", "authors", "score", "reason"):
        table.add_column(column, justify="right" if column in ("#", "book", "score") else "left")
    for place, book in enumerate(books, start=1):
        reason = book.reason
        if reason.because_book_id:
            title = reason.because_title or f"book {reason.because_book_id}"
            why = f"because you read {title} ({reason.share:.0%})"
        else:
            why = f"popular in {reason.category}" if reason.category else "popular"
        cells = (str(place), str(book.book_id), book.title, ", ".join(book.authors), f"{book.score:.3f}", why)
        table.add_row(*map(escape, cells))
    return table


def complain_of(error: Any) -> None:
    """Print the status of a call that failed, and what its google.rpc details say."""
    from grpc_status import rpc_status

    complain(f"{error.code().name}: {' '.join((error.details() or '').split())}")
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return
    if status is None:
        return
    from google.rpc import error_details_pb2

    for detail in status.details:
        request, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(request):
            for violation in request.field_violations:
                complain(f"  {violation.field}: {violation.description}")
        elif detail.Unpack(retry):
            complain(f"  try again in {retry.retry_delay.ToTimedelta().total_seconds():g} s")
