"""`certs`: development certificates."""

from pathlib import Path

import click

from service.security.certificates import DEFAULT_HOSTS, make_development_certificates


@click.command()
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default="certs/dev",
    show_default=True,
    help="Where the files go.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help=f"A DNS name or address of the server; repeat for more.  [default: {', '.join(DEFAULT_HOSTS)}]",
)
@click.option("--days", type=int, help="How long server and client certificates are valid.")
@click.option("--rotate", is_flag=True, help="Issue server and clients anew under the CA that is there.")
def certs(directory: Path, hosts: tuple[str, ...], days: int | None, rotate: bool) -> None:
    """Make a CA, a server certificate and two client certificates for development.

    client may call everything; reader has the role reader-api alone. Keys are readable by their owner only.
    Existing files are never overwritten, except with --rotate. certs/README.md says where production's
    certificates come from.
    """
    validity = {} if days is None else {"days": days}
    for path in make_development_certificates(
        directory, hosts=hosts or DEFAULT_HOSTS, rotate=rotate, **validity
    ):
        click.echo(path)
