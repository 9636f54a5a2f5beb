"""`serve`: runs the service until a signal says stop."""

import os
import signal
import sys
from importlib.metadata import version
from threading import Event

import click

from service import logs
from service.settings import Settings

_V1 = "onlinebooks.recommendations.v1.RecommendationService"


@click.command()
@click.option("--hints", is_flag=True, help="When ready, print lines to try out in a second terminal.")
def serve(hints: bool) -> None:
    """Run the service until SIGTERM or Ctrl-C; a second signal stops it at once.

    Settings come from RECOMMENDATIONS_… variables (see check-config). Logs are JSON lines on standard error.
    """
    stop, hurry = Event(), Event()

    def on_signal(number: int, _frame: object) -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    settings = Settings.from_environment(os.environ)
    logs.configure(settings.log_level, sys.stderr)
    # gRPC's own complaints in C++ spelling are for its developers; what an operator needs is in our log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from service.app import App

    with App(settings) as app:
        if hints and not stop.is_set():
            click.echo(_hints(app))
        stop.wait()
        app.stop(hurry)
    if hurry.is_set():
        raise SystemExit(130)


def _hints(app: "App") -> str:  # type: ignore[name-defined] # noqa: F821 - imported late
    settings = app.settings
    host = f"localhost:{app.port}"
    secure = "grpcurl -cacert certs/dev/ca.crt"
    if settings.transport == "mtls":
        secure += " -cert certs/dev/client.crt -key certs/dev/client.key"
    lines = [
        "",
        f"Recommendations {version('recommendations')} is ready: "
        f"gRPC with {settings.transport} on port {app.port}, "
        f"http://localhost:{app.admin_port}/readyz and /metrics",
        f"{app.recommender.catalogue.book_count} books, {app.recommender.reader_count} readers",
        "",
        "In a second terminal:",
        "  make call",
        f"  {secure} {host} list",
        f'  {secure} -d \'{{"reader_id": 7, "page_size": 5}}\' {host} {_V1}/Recommend',
    ]
    if app.plaintext_port is not None:
        lines += [
            "and without TLS, from this machine alone:",
            "  grpcurl -plaintext -proto protobufs/recommendations.proto "
            f'-d \'{{"user_id": 1, "category": "MYSTERY", "max_results": 3}}\' '
            f"localhost:{app.plaintext_port} Recommendations/Recommend",
        ]
    return "\n".join([*lines, "", "Ctrl-C stops it.", ""])
