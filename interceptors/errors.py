"""Turn whatever goes wrong inside an RPC into a status that tells the caller enough and nothing internal.

Must not know which errors exist: a function that is given translates them.
"""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc

from interceptors.call import Call, Method
from interceptors.chain import Interceptor, Proceed
from interceptors.status import SERVER_FAULTS, StatusError, rich_status

Translate = Callable[[BaseException], StatusError | None]


class Errors(Interceptor):
    """End failed RPCs with a status and google.rpc details, and every RPC with its `x-request-id`.

    `translate` returns the StatusError that an exception means to the caller, or None for one that nobody
    foresaw: that becomes INTERNAL with a fixed text, and its traceback is left to the access log.
    """

    def __init__(self, translate: Translate = lambda error: None):
        self._translate = translate

    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        def unary(call: Call, request: Any) -> Any:
            try:
                response = proceed(call, request)
            except BaseException as error:  # noqa: BLE001 - see _fail
                self._fail(call, error)
            _add_trailers(call)
            return response

        def stream(call: Call, request: Any) -> Iterator[Any]:
            try:
                yield from proceed(call, request)
            except GeneratorExit:  # the caller is gone, nobody iterates any more
                raise
            except BaseException as error:  # noqa: BLE001 - see _fail
                self._fail(call, error)
            _add_trailers(call)

        return stream if method.response_streaming else unary

    def _fail(self, call: Call, error: BaseException) -> NoReturn:
        # Any BaseException: after a SystemExit or an extension's panic grpc would leave the caller waiting.
        context = call.context
        if _is_abort(error, context) or _is_hangup(error, context):
            _add_trailers(call)
            raise error
        known = error if isinstance(error, StatusError) else self._known(call, error)
        status = rich_status(known)
        if known.code in SERVER_FAULTS:
            call.error = call.error or error
        _add_trailers(call, *status.trailing_metadata)
        context.abort(status.code, status.details)
        raise AssertionError("abort raises")

    def _known(self, call: Call, error: BaseException) -> StatusError:
        if isinstance(error, NotImplementedError) and call.context.code() is grpc.StatusCode.UNIMPLEMENTED:
            # What generated servicers do for a method that nobody wrote.
            return StatusError(
                grpc.StatusCode.UNIMPLEMENTED, "method not implemented", reason="UNIMPLEMENTED_METHOD"
            )
        try:
            known = self._translate(error)
        except Exception as failure:  # noqa: BLE001 - no more than the error itself may it reach the caller
            call.error, known = failure, None  # it carries `error` as its context
        return known or StatusError(
            grpc.StatusCode.INTERNAL,
            f"internal error; request id {call.request_id}",
            reason="INTERNAL",
        )


def _is_abort(error: BaseException, context: Any) -> bool:
    # context.abort sets the code and raises a bare Exception(); one with a text of its own is not it.
    return type(error) is Exception and not error.args and context.code() not in (None, grpc.StatusCode.OK)


def _is_hangup(error: BaseException, context: Any) -> bool:
    # Reading requests from a caller who went away raises a bare RpcError, which grpc expects back.
    return type(error) is grpc.RpcError and not context.is_active()


def _add_trailers(call: Call, *more: tuple[str, str | bytes]) -> None:
    theirs = tuple(call.context.trailing_metadata() or ())
    call.context.set_trailing_metadata((*theirs, ("x-request-id", call.request_id), *more))
