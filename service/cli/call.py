"""`call`: any RPC of the service from the command line, as a table or as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.console import REFUSED, complain

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message
    from rich.table import Table

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("method", required=False)
@click.option(
    "-d",
    "--data",
    default="{}",
    help="The request as JSON; @FILE reads a file, @- standard input. For streams: one JSON object a line.",
)
@click.option("--address", default="localhost:50051", show_default=True)
@click.option(
    "--cacert", type=_FILE, default="certs/dev/ca.crt", show_default=True, help="PEM CA of the server."
)
@click.option("--cert", type=_FILE, help="PEM certificate of the client.  [default: certs/dev/client.crt]")
@click.option("--key", type=_FILE, help="PEM key of the client.  [default: certs/dev/client.key]")
@click.option("--no-client-cert", is_flag=True, help="Send no client certificate (a TLS-only service).")
@click.option("--plaintext", is_flag=True, help="No TLS: a loopback listener.")
@click.option("--server-name", help="Name expected in the server's certificate.  [default: the address's]")
@click.option(
    "--timeout", type=click.FloatRange(min=0.0001), default=10.0, show_default=True, help="Seconds."
)
@click.option(
    "-H", "--metadata", multiple=True, metavar="KEY:VALUE", help="Metadata to send; repeat for more."
)
@click.option("--json", "as_json", is_flag=True, help="Print the reply as JSON, not as a table.")
@click.option("--list", "list_methods", is_flag=True, help="List the methods that can be called, and exit.")
def call(
    method: str | None,
    data: str,
    list_methods: bool,
    as_json: bool,
    timeout: float,
    metadata: tuple[str, ...],
    **connection: Any,
) -> None:
    """Call METHOD of a running service.

    METHOD is a name such as Recommend (the v1 API's) or a whole one such as Recommendations/Recommend or
    grpc.health.v1.Health/Check. Without it, a reader's recommendations are asked for.

    \b
    recommendations call
    recommendations call Recommend -d '{"reader_id": 7, "categories": ["mystery"]}'
    recommendations call PopularBooks -d '{"window": "2592000s"}' --json
    """
    import grpc

    methods = _methods()
    if list_methods:
        for descriptor in dict.fromkeys(methods.values()):
            click.echo(f"{descriptor.containing_service.full_name}/{descriptor.name}")
        return
    if method is None:
        method, data = "Recommend", '{"reader_id": 7}' if data == "{}" else data
    descriptor = methods.get(method.strip("/"))
    if descriptor is None:
        raise click.UsageError(f'"{method}" is not a method of the service; --list names them')
    sent = [_pair(entry) for entry in metadata]
    with _channel(**connection) as channel:
        try:
            replies = _invoke(channel, descriptor, _requests(descriptor, data), timeout, sent)
            for reply in replies:
                _show(reply, as_json)
        except grpc.RpcError as error:
            _complain_of(error)
            raise SystemExit(REFUSED) from None


def _methods() -> "dict[str, MethodDescriptor]":
    """Return every method by its whole name, and those of the v1 API by their own name too."""
    import recommendations_pb2
    from grpc_health.v1 import health_pb2
    from onlinebooks.recommendations.v1 import catalogue_service_pb2, recommendation_service_pb2

    found: dict[str, MethodDescriptor] = {}
    v1 = (recommendation_service_pb2, catalogue_service_pb2)
    for module in (*v1, recommendations_pb2, health_pb2):
        service: ServiceDescriptor
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                found[f"{service.full_name}/{method.name}"] = method
                if module in v1:
                    found[method.name] = method
    return found


def _requests(descriptor: "MethodDescriptor", data: str) -> "Iterator[Message]":
    from google.protobuf import json_format
    from google.protobuf.message_factory import GetMessageClass

    text = click.open_file(data[1:]).read() if data.startswith("@") else data
    make = GetMessageClass(descriptor.input_type)
    lines = text.splitlines() if descriptor.client_streaming else [text]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield json_format.Parse(line, make())
        except json_format.ParseError as error:
            place = f"line {number} of the data" if descriptor.client_streaming else "the data"
            raise click.UsageError(f"{place}: {' '.join(str(error).split())}") from None


def _channel(
    address: str,
    cacert: Path,
    cert: Path | None,
    key: Path | None,
    no_client_cert: bool,
    plaintext: bool,
    server_name: str | None,
) -> Any:
    import grpc

    options = [("grpc.ssl_target_name_override", server_name)] if server_name else []
    if plaintext:
        return grpc.insecure_channel(address, options)
    if no_client_cert:
        credentials = grpc.ssl_channel_credentials(cacert.read_bytes())
    else:
        cert, key = cert or Path("certs/dev/client.crt"), key or Path("certs/dev/client.key")
        credentials = grpc.ssl_channel_credentials(cacert.read_bytes(), key.read_bytes(), cert.read_bytes())
    return grpc.secure_channel(address, credentials, options)


def _invoke(
    channel: Any,
    descriptor: "MethodDescriptor",
    requests: "Iterator[Message]",
    timeout: float,
    metadata: list[tuple[str, str]],
) -> "Iterator[Message]":
    from google.protobuf.message_factory import GetMessageClass

    arity = "_".join(
        "stream" if streams else "unary"
        for streams in (descriptor.client_streaming, descriptor.server_streaming)
    )
    path = f"/{descriptor.containing_service.full_name}/{descriptor.name}"
    invoke = getattr(channel, arity)(
        path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(descriptor.output_type).FromString,
    )
    # Parsed before anything is sent: a mistake on line 9 is no reason to have asked for lines 1 to 8.
    parsed = list(requests)
    reply = invoke(
        iter(parsed) if descriptor.client_streaming else parsed[0], timeout=timeout, metadata=metadata
    )
    yield from reply if descriptor.server_streaming else [reply]


def _pair(entry: str) -> tuple[str, str]:
    key, separator, value = entry.partition(":")
    if not separator:
        raise click.UsageError(f'--metadata "{entry}" is not KEY:VALUE')
    return key.strip().lower(), value.strip()


def _show(reply: "Message", as_json: bool) -> None:
    from google.protobuf import json_format

    fields = json_format.MessageToDict(reply, preserving_proto_field_name=True)
    books = getattr(reply, "books", None)
    if as_json or not books or not hasattr(books[0], "reason"):
        click.echo(json.dumps(fields, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console()
    console.print(_table(books))
    fields.pop("books")
    console.print(
        "  ".join(f"{name}={value}" for name, value in fields.items()), highlight=False, markup=False
    )


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


def _complain_of(error: Any) -> None:
    from grpc_status import rpc_status

    complain(f"{error.code().name}: {error.details()}")
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
