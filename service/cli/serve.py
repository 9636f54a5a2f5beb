"""`serve`: runs the service until a signal says stop."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from threading import Event
from typing import TYPE_CHECKING

import click

from service.cli.console import INTERRUPTED
from service.operations import logs
from service.settings import Settings

if TYPE_CHECKING:
    from service.workers.line import SupervisorLine

DEFAULT_PORT = Settings.model_fields["port"].default
_V1 = "onlinebooks.recommendations.v1.RecommendationService"


@click.command()
@click.option("--hints", is_flag=True, help="When ready, print lines to try out in a second terminal.")
@click.option(
    "--workers",
    default="1",
    show_default=True,
    metavar="N|auto",
    help="Processes behind the one port, each on a processor of its own; auto: one for each processor.",
)
@click.option("--worker-line", type=int, hidden=True, help="For workers: the supervisor's end of a line.")
def serve(hints: bool, workers: str, worker_line: int | None) -> None:
    """Run the service until SIGTERM, SIGHUP or Ctrl-C: it says NOT_SERVING, waits, lets calls in flight end.

    A second signal ends these waits at once, a third one the process as it is.

    Settings come from RECOMMENDATIONS_… variables (see check-config). Logs are JSON lines on standard error.
    """
    from service.workers import worker_count

    try:
        count = worker_count(workers)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--workers") from None
    if count > 1 and not sys.platform.startswith("linux"):
        raise click.BadParameter("only Linux shares a port out between processes", param_hint="--workers")
    stop, hurry = Event(), Event()
    _follow_signals(stop.set, hurry.set, lambda: os._exit(INTERRUPTED))
    settings = Settings.from_environment(os.environ)
    logs.configure(settings.log_level, sys.stderr)
    if count > 1:
        code = _supervise(settings, count, hints, stop, hurry)
    else:
        code = _run(settings, hints, stop, hurry, worker_line)
    raise SystemExit(INTERRUPTED if hurry.is_set() else code)


def _run(settings: Settings, hints: bool, stop: Event, hurry: Event, worker_line: int | None) -> int:
    """Run the service in this process; returns the exit code."""
    # gRPC's own complaints in C++ spelling are for its developers; what an operator needs is in our log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from service.acquiring import Stopped
    from service.app import App

    line = None
    if worker_line is not None:
        from service.workers.line import SupervisorLine

        line = SupervisorLine(worker_line)
        threading.Thread(target=_stop_with, args=(line, stop), name="supervisor-line", daemon=True).start()
    try:
        with App(settings, stop=stop, supervisor=line) as app:
            books, readers = app.recommender.catalogue.book_count, app.recommender.reader_count
            shop = f"{books} books, {readers} readers"
            if line is not None:
                line.tell(serving=shop)
            if hints and not stop.is_set():
                click.echo(_hints(settings, app.port, app.admin_port, app.plaintext_port, shop))
            stop.wait()
            app.stop(hurry)
    except Stopped:
        pass
    return 0


def _stop_with(line: "SupervisorLine", stop: Event) -> None:
    line.wait_until_gone()
    stop.set()  # a supervisor that was killed leaves nobody to answer probes: drain and go


def _supervise(settings: Settings, count: int, hints: bool, stop: Event, hurry: Event) -> int:
    """Run the service in several processes; returns the exit code."""
    from service.workers import Supervisor

    def on_ready(supervisor: Supervisor, shop: str) -> None:
        if hints:
            ports = (supervisor.port, supervisor.admin_port, supervisor.plaintext_port)
            click.echo(_hints(settings, *ports, shop))

    return Supervisor(settings, os.environ, count).run(stop, hurry, on_ready)


def _follow_signals(*steps: Callable[[], object]) -> None:
    """Take one step at each SIGTERM, SIGINT or SIGHUP, on a thread of its own.

    A Python signal handler runs when the main thread next runs Python. Measured with CPython 3.11 and
    grpcio 1.85.1 on two busy cores: one signal in five did not wake a main thread that waited for a lock.
    Blocked in every thread and waited for in one, none is lost; one that comes during the start counts
    after it.
    """
    signals = {signal.SIGTERM, signal.SIGINT}
    # A closed terminal. Under nohup it is ignored, and would come all the same to whoever waits for it.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.add(signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # threads started from here on inherit it

    def follow() -> None:
        for step in steps:
            signal.sigwait(signals)
            step()

    threading.Thread(target=follow, name="signals", daemon=True).start()


def _hints(settings: Settings, port: int, admin_port: int, plaintext_port: int | None, shop: str) -> str:
    host = f"localhost:{port}"
    secure = "grpcurl -cacert certs/dev/ca.crt"
    if settings.transport == "mtls":
        secure += " -cert certs/dev/client.crt -key certs/dev/client.key"
    lines = [
        "",
        f"Recommendations {version('recommendations')} is ready: "
        f"gRPC with {settings.transport} on port {port}, "
        f"http://localhost:{admin_port}/readyz and /metrics",
        shop,
        "",
        "In a second terminal:",
        "  make call" if port == DEFAULT_PORT else f'  make call ARGS="--address {host}"',
        f"  {secure} {host} list",
        f'  {secure} -d \'{{"reader_id": 7, "page_size": 5}}\' {host} {_V1}/Recommend',
    ]
    if plaintext_port is not None:
        lines += [
            "and without TLS, from this machine alone:",
            "  grpcurl -plaintext -proto protobufs/recommendations.proto "
            f'-d \'{{"user_id": 1, "category": "MYSTERY", "max_results": 3}}\' '
            f"localhost:{plaintext_port} Recommendations/Recommend",
        ]
    return "\n".join([*lines, "", "Ctrl-C stops it.", ""])
