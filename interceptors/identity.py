"""Establish who calls from the verified client certificate, and refuse whom the policy refuses.

Must not know roles: a function that is given decides.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grpc

from interceptors.call import ANONYMOUS, Call, Method, PeerIdentity
from interceptors.chain import Interceptor, Proceed
from interceptors.status import StatusError

MAX_KEPT_PEERS = 1024  # certificates in use at a time are tens; beyond this all are forgotten and read again

Certificate = Mapping[str, Sequence[bytes]]  # what grpc calls the auth context


Authorise = Callable[[PeerIdentity, Method], str | None]


class Identity(Interceptor):
    """Set `call.identity`, and refuse the call when `authorise` returns a sentence that says why.

    Without a certificate the refusal is UNAUTHENTICATED, else PERMISSION_DENIED. `authorise` is asked for
    every call, so that a changed policy holds at once.
    """

    def __init__(self, authorise: Authorise):
        self._authorise = authorise
        # By the certificate itself: a peer's address is reused by others.
        self._peers: dict[bytes, PeerIdentity] = {}

    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        def unary(call: Call, request: Any) -> Any:
            self._admit(call)
            return proceed(call, request)

        def stream(call: Call, request: Any) -> Iterator[Any]:
            self._admit(call)
            yield from proceed(call, request)

        return stream if method.response_streaming else unary

    def _admit(self, call: Call) -> None:
        peer = call.identity = self._peer(call.context.auth_context())
        refusal = self._authorise(peer, call.method)
        if refusal is None:
            return
        if peer.authenticated:
            raise StatusError(grpc.StatusCode.PERMISSION_DENIED, refusal, reason="PERMISSION_DENIED")
        raise StatusError(grpc.StatusCode.UNAUTHENTICATED, refusal, reason="CLIENT_CERTIFICATE_REQUIRED")

    def _peer(self, certificate: Certificate) -> PeerIdentity:
        pem = certificate.get("x509_pem_cert")
        if not pem:
            return ANONYMOUS
        peer = self._peers.get(pem[0])
        if peer is None:
            if len(self._peers) >= MAX_KEPT_PEERS:
                self._peers.clear()
            peer = self._peers[pem[0]] = _read(certificate)
        return peer


def _read(certificate: Certificate) -> PeerIdentity:
    uris = tuple(value.decode("utf-8", "replace") for value in certificate.get("peer_uri", ()))
    dns = tuple(value.decode("utf-8", "replace") for value in certificate.get("peer_dns", ()))
    return PeerIdentity((*uris, *dns, ANONYMOUS.name)[0], uris, dns, authenticated=True)
