"""What the service acquires before it serves; a refusal names the settings that it comes from."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

import grpc
from prometheus_client import CollectorRegistry

from service.domain.errors import Unavailable
from service.failure import Failure
from service.following import DATABASE
from service.operations.conditions import Conditions
from service.security.tls import ServerCredentials
from service.settings import Settings, SettingsError, variable
from service.storage import DatabaseAway

Value = TypeVar("Value")

_log = logging.getLogger("recommendations")

# Pauses between attempts to reach a database at the start: soon at first, then so as not to be a burden.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0


class Stopped(Exception):
    """The service was told to stop while it was still starting."""


@contextmanager
def blaming(*settings: str) -> Iterator[None]:
    """Put the settings in front of a failure that names only their file."""
    try:
        yield
    except Failure as failure:
        raise SettingsError(f"{', '.join(map(variable, settings))}: {failure}") from failure


def reached(use: Callable[[], Value], conditions: Conditions, stop: Event) -> Value:
    """Return what needs the database; while it is away, say so and try again until told to stop.

    Raises:
        Stopped: told to.
    """
    pause = _FIRST_PAUSE_SECONDS
    told = ""
    while True:
        try:
            return use()
        except (DatabaseAway, Unavailable) as error:
            conditions.set(DATABASE, False, str(error))
            if str(error) != told:
                told = str(error)
                _log.warning("%s; waiting for it", error)
        if stop.wait(pause):
            raise Stopped
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def server_credentials(settings: Settings, registry: CollectorRegistry) -> ServerCredentials:
    """Load the certificates; what it returns keeps them fresh while entered."""
    with blaming("tls_certificate_file", "tls_key_file", "tls_client_ca_file"):
        return ServerCredentials(
            settings.tls_certificate_file,
            settings.tls_key_file,
            settings.tls_client_ca_file if settings.transport == "mtls" else None,
            reload_seconds=settings.tls_reload_seconds,
            registry=registry,
        )


def listen(
    server: grpc.Server, host: str, port: int, setting: str, credentials: grpc.ServerCredentials | None
) -> int:
    """Open a port of the server and return its number; `setting` is to blame where that fails."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError:
        raise Failure(
            f"{variable(setting)}: {port}: cannot listen on {host}; is the port in use already?"
        ) from None
