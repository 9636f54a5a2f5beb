"""`call`: any RPC of the service from the command line, as a table or as JSON."""

from pathlib import Path
from typing import Any

import click

from service.cli.console import REFUSED

_FILE = click.Path(dir_okay=False, path_type=Path)
_EXAMPLE_REQUEST = '{"reader_id": 7}'


@click.command()
@click.argument("method", required=False)
@click.option(
    "-d",
    "--data",
    help="The request as JSON; @FILE reads a file, @- standard input. For streams: one JSON object a line.  "
    "[default: an empty request]",
)
@click.option(
    "--address", default="localhost:50051", show_default=True, help="Host and port, or any gRPC target."
)
@click.option(
    "--cacert", type=_FILE, default="certs/dev/ca.crt", show_default=True, help="PEM CA of the server."
)
@click.option(
    "--cert",
    type=_FILE,
    default="certs/dev/client.crt",
    show_default=True,
    help="PEM certificate of the client.",
)
@click.option(
    "--key", type=_FILE, default="certs/dev/client.key", show_default=True, help="PEM key of the client."
)
@click.option("--no-client-cert", is_flag=True, help="Send no client certificate (a TLS-only service).")
@click.option("--plaintext", is_flag=True, help="No TLS: a loopback listener.")
@click.option("--server-name", help="Name expected in the server's certificate.  [default: the address's]")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0001, max=86_400),
    default=10.0,
    show_default=True,
    help="Seconds that the call may take; a stream as a whole.",
)
@click.option(
    "-H", "--metadata", multiple=True, metavar="KEY:VALUE", help="Metadata to send; repeat for more."
)
@click.option("--json", "as_json", is_flag=True, help="Print the reply as JSON, not as a table.")
@click.option("--list", "list_methods", is_flag=True, help="List the methods that can be called, and exit.")
def call(
    method: str | None,
    data: str | None,
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

    from service.cli import methods, replies

    if list_methods:
        click.echo("\n".join(methods.names()))
        return
    if method is None:
        method, data = "Recommend", data or _EXAMPLE_REQUEST
    descriptor = methods.find(method)
    # Parsed before anything is sent: a mistake on line 9 is no reason to have asked for lines 1 to 8.
    requests = methods.requests(descriptor, _text(data))
    sent = [_pair(entry) for entry in metadata]
    with _channel(**connection) as channel:
        try:
            for reply in methods.invoke(channel, descriptor, requests, timeout, sent):
                replies.show(reply, as_json)
        except grpc.RpcError as error:
            replies.complain_of(error)
            raise SystemExit(REFUSED) from None


def _text(data: str | None) -> str:
    if data is None or not data.startswith("@"):
        return data or ""
    try:
        with click.open_file(data[1:], encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{data[1:]}: not UTF-8 at byte {error.start}") from None


def _channel(
    address: str,
    cacert: Path,
    cert: Path,
    key: Path,
    no_client_cert: bool,
    plaintext: bool,
    server_name: str | None,
) -> Any:
    import grpc

    options = [("grpc.ssl_target_name_override", server_name)] if server_name else []
    if plaintext:
        return grpc.insecure_channel(address, options)
    own = (None, None) if no_client_cert else (key.read_bytes(), cert.read_bytes())
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(cacert.read_bytes(), *own), options)


def _pair(entry: str) -> tuple[str, str]:
    key, separator, value = entry.partition(":")
    key, value = key.strip().lower(), value.strip()
    if not separator or not key:
        raise click.UsageError(f'--metadata "{entry}" is not KEY:VALUE')
    # https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: what else there may be, gRPC asserts on.
    if key.endswith("-bin") or not all(each.isascii() and (each.isalnum() or each in "-_.") for each in key):
        raise click.UsageError(
            f'--metadata "{entry}": the key is not of letters, digits and "-_." without -bin'
        )
    if not (value.isascii() and value.isprintable()):
        raise click.UsageError(f'--metadata "{entry}": the value is not printable ASCII')
    return key, value
