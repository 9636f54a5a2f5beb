"""Serve TLS from files, and from newer ones as soon as they are there and in order.

Knows nothing of who the clients are (access), nor of what is served.
"""

import logging
import threading
from pathlib import Path
from typing import Self

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge

from service.security.tls_files import Expiry, TlsContents, TlsError, TlsFiles, check

__all__ = ["ServerCredentials", "TlsError"]

# Files are replaced one after the other: two looks this far apart must see the same before it counts.
SETTLE_SECONDS = 0.2
# A look at the files ends on its own; a file system that hangs must not hold the exit.
JOIN_SECONDS = 2.0

_log = logging.getLogger("recommendations.tls")


class ServerCredentials:
    """The credentials of one port, and the thread that keeps them fresh while entered as a context manager.

    `client_ca=None` is TLS without client certificates. The files are read every `reload_seconds`; changed
    ones are checked and apply from the next handshake on, or are refused and the old ones stay.
    Contents are compared, not times: a swapped link (Kubernetes) counts, a touched file does not.
    Raises TlsError when the first load fails.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        client_ca: Path | None,
        *,
        reload_seconds: float,
        registry: CollectorRegistry,
    ):
        self._files = TlsFiles(certificate, key, client_ca)
        self._reload_seconds = reload_seconds
        self._expiry = Gauge(
            "recommendations_tls_certificate_expiry_timestamp_seconds",
            "When the certificate in use ends; of the client CA bundle, the first that ends.",
            ["certificate"],
            registry=registry,
        )
        self._reloads = Counter(
            "recommendations_tls_reloads",
            "Changed TLS files that were taken up, or refused.",
            ["result"],
            registry=registry,
        )
        for result in ("success", "failure"):
            self._reloads.labels(result)
        self._is_refused = Gauge(
            "recommendations_tls_refused",
            "1 while changed TLS files are refused and the ones before are in use.",
            registry=registry,
        )
        contents = self._files.read()
        self._ready = self._served = self._configuration(contents, check(self._files, contents))
        self._digest = self._candidate = contents.digest
        self._refused = ("", "")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tls-reload", daemon=True)
        # The port takes ownership of each configuration it is given, so this object serves one port:
        # grpc refuses to bind a second.
        self.credentials: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            self._ready,
            self._fetch,  # type: ignore[arg-type] # None means no change; the stubs leave it out
            require_client_authentication=client_ca is not None,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(JOIN_SECONDS)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        # Called at every handshake, under a lock of grpc: what takes time was done by the thread.
        ready = self._ready
        if ready is self._served:
            return None
        self._served = ready
        return ready

    def _watch(self) -> None:
        pause = self._reload_seconds
        while not self._stop.wait(pause):
            try:
                settled = self._look()
            except Exception:  # noqa: BLE001 - without this thread no certificate would ever be renewed
                _log.exception("looking at the TLS files failed, the ones in use stay")
                settled = True
            pause = self._reload_seconds if settled else min(SETTLE_SECONDS, self._reload_seconds)

    def _look(self) -> bool:
        """Take up or refuse changed files; False: they may be changing just now, look again soon."""
        contents: TlsContents | TlsError
        try:
            contents = self._files.read()
            digest = contents.digest
        except TlsError as error:
            contents, digest = error, str(error)
        if digest == self._digest:
            self._candidate, self._refused = digest, ("", "")
            self._is_refused.set(0)
            return True
        if digest != self._candidate:
            self._candidate = digest
            return False
        try:
            if isinstance(contents, TlsError):
                raise contents
            self._ready = self._configuration(contents, check(self._files, contents))
        except TlsError as error:
            # Checked again at every look, because a certificate may become valid; told once.
            if self._refused != (digest, str(error)):
                self._refused = (digest, str(error))
                self._reloads.labels("failure").inc()
                self._is_refused.set(1)
                _log.error("changed TLS files refused, the ones in use stay: %s", error)
            return True
        self._digest = digest
        self._is_refused.set(0)
        self._reloads.labels("success").inc()
        _log.info("changed TLS files taken up: %s", self._files.certificate)
        return True

    def _configuration(self, contents: TlsContents, expiry: Expiry) -> grpc.ServerCertificateConfiguration:
        configuration = grpc.ssl_server_certificate_configuration(
            [(contents.key, contents.certificate)], contents.client_ca
        )
        self._expiry.labels("server").set(expiry.certificate)
        if expiry.client_ca is not None:
            self._expiry.labels("client_ca").set(expiry.client_ca)
        return configuration
