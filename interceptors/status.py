"""Say what a failed RPC tells its caller: a code, one line, and google.rpc details of a bounded size.

Must not know which errors exist or which method failed.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

ERROR_DOMAIN = "recommendations.onlinebooks"
MAX_MESSAGE_BYTES = 1024  # grpc-message is a header, percent-encoded: up to three times this on the wire
MAX_DETAILS_BYTES = 4096  # above about 8 KB of trailers the client sees RESOURCE_EXHAUSTED instead
MAX_VIOLATIONS = 20  # more than a person reads; a batch can have ten thousand
MAX_FIELD_BYTES = 128  # a path such as interactions[9999].interaction_id is far shorter
MAX_DESCRIPTION_BYTES = 512  # a description quotes the value, which the caller chose

# The spelling of Go's codes package, which existing gRPC dashboards query.
GO_NAMES: dict[grpc.StatusCode, str] = {
    code: {"OK": "OK", "CANCELLED": "Canceled"}.get(code.name, code.name.title().replace("_", ""))
    for code in grpc.StatusCode
}

# Codes that say that we are broken, whatever the caller did.
SERVER_FAULTS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})


class Violation(Protocol):
    """One field that broke a rule."""

    @property
    def field(self) -> str: ...

    @property
    def description(self) -> str: ...


class StatusError(Exception):
    """End the RPC with `code` and `message`, which the caller will read.

    `reason` is the UPPER_SNAKE_CASE constant of google.rpc.ErrorInfo and `metadata` its map; `violations`
    become google.rpc.BadRequest and `retry_seconds` google.rpc.RetryInfo.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str,
        violations: Sequence[Violation] = (),
        retry_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.code = code
        self.message = one_line(message, MAX_MESSAGE_BYTES)
        self.reason = reason
        self.violations = violations
        self.retry_seconds = retry_seconds
        self.metadata = metadata or {}


def one_line(text: str, max_bytes: int) -> str:
    """Return `text` on one line, cut to `max_bytes` of UTF-8 and marked with an ellipsis when it was cut."""
    # Sliced first: a caller may have chosen megabytes of it.
    data = " ".join(text[: max_bytes + 1].split()).encode("utf-8", "replace")
    if len(text) <= max_bytes and len(data) <= max_bytes:
        return data.decode()
    return data[: max_bytes - 3].decode("utf-8", "ignore") + "…"


def rich_status(error: StatusError) -> grpc.Status:
    """Return code, message and trailing metadata of `error`, its details within `MAX_DETAILS_BYTES`.

    Violations that do not fit are dropped from the end and counted in a last one; then the metadata goes.
    """
    violations = [
        error_details_pb2.BadRequest.FieldViolation(
            field=one_line(violation.field, MAX_FIELD_BYTES),
            description=one_line(violation.description, MAX_DESCRIPTION_BYTES),
        )
        for violation in error.violations[:MAX_VIOLATIONS]
    ]
    for listed in range(len(violations), -1, -1):
        status = _status(error, violations[:listed], error.metadata)
        if status.ByteSize() <= MAX_DETAILS_BYTES:
            return rpc_status.to_status(status)
    return rpc_status.to_status(_status(error, [], {}))


def _status(error: StatusError, violations: list, metadata: Mapping[str, str]) -> status_pb2.Status:
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    if error.violations:
        bad = error_details_pb2.BadRequest(field_violations=violations)
        if dropped := len(error.violations) - len(violations):
            bad.field_violations.add(description=f"… and {dropped} more")
        status.details.add().Pack(bad)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)
    status.details.add().Pack(info)
    if error.retry_seconds is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_seconds * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status
