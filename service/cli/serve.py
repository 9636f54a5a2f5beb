"""`serve`: runs the service until a signal says stop."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from threading import Event

import click

from service.cli.console import INTERRUPTED
from service.operations import logs
from service.settings import Settings

DEFAULT_PORT = Settings.model_fields["port"].default
_V1 = "onlinebooks.recommendations.v1.RecommendationService"


@click.command()
@click.option("--hints", is_flag=True, help="When ready, print lines to try out in a second terminal.")
def serve(hints: bool) -> None:
    """Run the service until SIGTERM or Ctrl-C: it says NOT_SERVING, waits, lets calls in flight end.

    A second signal ends these waits at once, a third one the process as it is.

    Settings come from RECOMMENDATIONS_… variables (see check-config). Logs are JSON lines on standard error.
    """
    stop, hurry = Event(), Event()
    _follow_signals(stop.set, hurry.set, lambda: os._exit(INTERRUPTED))
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
        raise SystemExit(INTERRUPTED)


def _follow_signals(*steps: Callable[[], object]) -> None:
    """Take one step at each SIGTERM or SIGINT, on a thread of its own.

    A Python signal handler runs when the main thread next runs Python. Measured with CPython 3.11 and
    grpcio 1.85.1 on two busy cores: one signal in five did not wake a main thread that waited for a lock.
    Blocked in every thread and waited for in one, none is lost; one that comes during the start counts
    after it.
    """
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # threads started from here on inherit it

    def follow() -> None:
        for step in steps:
            signal.sigwait(signals)
            step()

    threading.Thread(target=follow, name="signals", daemon=True).start()


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
        "  make call" if app.port == DEFAULT_PORT else f'  make call ARGS="--address {host}"',
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
