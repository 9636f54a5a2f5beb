"""Describe a method and one call of it, which the interceptors hand inwards.

Must not know any interceptor.
"""

import itertools
import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

if TYPE_CHECKING:
    from interceptors.nonblocking import PushedStream

_KINDS = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}

# A client that gives up at its deadline cancels, which may arrive before our own clock has passed it.
_DEADLINE_SLACK_SECONDS = 0.01

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REQUEST_ID_PREFIX = os.urandom(8).hex()  # tells processes and restarts apart
_request_numbers = itertools.count(1)

# https://www.w3.org/TR/trace-context/#traceparent-header; zero ids and version ff are invalid.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
)


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC of a service; `service` is its full name with the package."""

    service: str
    name: str
    request_streaming: bool = False
    response_streaming: bool = False

    @property
    def full(self) -> str:
        """The path on the wire, `/package.Service/Name`."""
        return f"/{self.service}/{self.name}"

    @property
    def kind(self) -> str:
        """The `grpc_type` of go-grpc-middleware: unary, client_stream, server_stream or bidi_stream."""
        return _KINDS[self.request_streaming, self.response_streaming]


# Stands for whatever was asked that nobody serves, so that labels stay bounded. It streams requests because
# nothing is read from the caller: a handler that waits for a first message would hold its thread for ever.
UNKNOWN_METHOD = Method("unknown", "unknown", request_streaming=True)


def methods_of(service: ServiceDescriptor) -> tuple[Method, ...]:
    """Return the methods of a protobuf service, in its order."""
    return tuple(
        Method(service.full_name, method.name, method.client_streaming, method.server_streaming)
        for method in service.methods
    )


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who calls, by the URI and DNS subject alternative names of a verified certificate.

    `name` is the first URI (a SPIFFE id is one), else the first DNS name, else "anonymous". The common name
    is free text that no authority has to check, so it is never looked at.
    """

    name: str
    uris: tuple[str, ...]
    dns: tuple[str, ...]
    authenticated: bool


ANONYMOUS = PeerIdentity("anonymous", (), (), authenticated=False)


class Call:
    """One RPC on its way through the interceptors.

    `path` is what the caller asked for, safe to print. `identity` is set by Identity, `deadline` (of
    time.monotonic) by Deadline, `error` by Errors: the exception behind a status that is our own fault.
    `pushed` is set when the behaviour is non-blocking. `context` is grpc's, of which the type stubs know only
    the half.
    """

    __slots__ = (
        "_code",
        "_metadata",
        "_request_id",
        "_trace_id",
        "context",
        "deadline",
        "error",
        "identity",
        "method",
        "path",
        "pushed",
    )

    def __init__(self, method: Method, context: Any, path: str = ""):
        self.method = method
        self.context = context
        self.path = path
        self.identity: PeerIdentity | None = None
        self.deadline = math.inf
        self.error: BaseException | None = None
        self.pushed: PushedStream | None = None
        self._code: grpc.StatusCode | None = None
        self._metadata: Mapping[str, Any] | None = None
        self._request_id: str | None = None
        self._trace_id: str | None = None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the caller sent along; of a repeated key the last value."""
        if self._metadata is None:
            pairs = self.context.invocation_metadata() or ()
            self._metadata = {key: value for key, value in pairs}  # noqa: C416 - faster than dict() of named tuples
        return self._metadata

    @property
    def request_id(self) -> str:
        """The caller's `x-request-id` when it is 1 to 64 of [A-Za-z0-9._-], else one of ours."""
        if self._request_id is None:
            given = self.metadata.get("x-request-id")
            if given is not None and _REQUEST_ID.fullmatch(given):
                self._request_id = given
            else:
                self._request_id = f"{_REQUEST_ID_PREFIX}-{next(_request_numbers):x}"
        return self._request_id

    @property
    def trace_parent(self) -> tuple[str, bool] | None:
        """Trace id and sampled flag of the caller's `traceparent`; None without a valid one."""
        given = self.metadata.get("traceparent")
        if given is None or not (match := _TRACEPARENT.fullmatch(given)):
            return None
        return match[1], bool(int(match[2], 16) & 1)

    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits: of our own span, else of the caller's, sampled or not."""
        if self._trace_id is None and (parent := self.trace_parent) is not None:
            self._trace_id = parent[0]
        return self._trace_id

    @trace_id.setter
    def trace_id(self, trace_id: str) -> None:
        self._trace_id = trace_id

    @property
    def details(self) -> str:
        """The status message, as far as it is set."""
        details = self.context.details() or ""
        return details.decode("utf-8", "replace") if isinstance(details, bytes) else details

    def outcome(self, *, raised: bool) -> grpc.StatusCode:
        """Return the code that the RPC ended with, settled when first asked.

        `raised` tells whether an exception came from inside. A caller that is gone makes it CANCELLED, or
        DEADLINE_EXCEEDED when the time was up.
        """
        if self._code is None:
            self._code = self.context.code() or self._outcome_without_code(raised)
        return self._code

    def _outcome_without_code(self, raised: bool) -> grpc.StatusCode:
        gone = not self.context.is_active()
        # Within grpc the end of a request stream may arrive before the news that the call was cancelled.
        if (gone or self.method.request_streaming) and self._time_is_up():
            return grpc.StatusCode.DEADLINE_EXCEEDED
        if gone:
            return grpc.StatusCode.CANCELLED
        return grpc.StatusCode.UNKNOWN if raised else grpc.StatusCode.OK

    def _time_is_up(self) -> bool:
        remaining = self.context.time_remaining()
        if remaining is not None and remaining <= _DEADLINE_SLACK_SECONDS:
            return True
        return time.monotonic() >= self.deadline
