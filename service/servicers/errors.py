"""The one table from the domain's errors to status codes; knows no method."""

import grpc

from interceptors.status import StatusError
from service.domain.errors import InvalidInput, NotFound, Unavailable
from service.servicers.pages import OutdatedPage


def status_of(error: BaseException) -> StatusError | None:
    """Return the status that an error becomes; None for one that is nobody's to see."""
    match error:
        case StatusError():
            return error
        case InvalidInput():
            return StatusError(
                grpc.StatusCode.INVALID_ARGUMENT,
                str(error),
                reason="INVALID_INPUT",
                violations=error.violations,
            )
        case NotFound():
            return StatusError(
                grpc.StatusCode.NOT_FOUND,
                str(error),
                reason=f"{error.kind.upper()}_NOT_FOUND",
                metadata={error.kind: str(error.key)},
            )
        case OutdatedPage():
            return StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "page_token: the model has changed since it was issued; ask for the first page again",
                reason="PAGE_OUTDATED",
            )
        case Unavailable():
            return StatusError(
                grpc.StatusCode.UNAVAILABLE,
                str(error),
                reason="TEMPORARILY_UNAVAILABLE",
                retry_seconds=error.retry_seconds,
            )
    return None
