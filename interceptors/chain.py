"""Compose interceptors around the handlers of a server, once for each method.

Must not know any concern: what a layer does is in its own file.

Messages are decoded and replies encoded innermost, inside every layer, so that an undecodable request or an
unserialisable reply is mapped, logged and counted like any other failure, and a refused caller costs no
parsing. A layer therefore sees messages as bytes. A server gets one Chain: stacked singly, interceptors
would not recognise each other's unknown methods.
"""

import abc
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import grpc

from interceptors.behaviour import behaviour_of, innermost, is_non_blocking
from interceptors.call import UNKNOWN_METHOD, Call, Method, methods_of
from interceptors.nonblocking import PushedStream
from interceptors.status import StatusError

__all__ = ["UNKNOWN_METHOD", "Call", "Chain", "Exempt", "Interceptor", "Method", "Proceed", "methods_of"]

Proceed = Callable[[Call, Any], Any]  # (call, request or iterator) -> response or iterator

MAX_KEPT_HANDLERS = (
    4096  # far above any server's methods; a generic handler that makes new ones stays bounded
)
MAX_PATH_CHARACTERS = 200  # of an unknown method, in messages and logs; it is chosen by the caller

_FACTORIES = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class Interceptor(grpc.ServerInterceptor, abc.ABC):
    """One concern around every RPC, usable in a Chain or as the only interceptor of a server."""

    @abc.abstractmethod
    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        """Return `proceed` of `method` with this concern around it; runs once for each method.

        With a streaming response the result is a generator, whose `finally` runs at the end of the RPC,
        also when the caller went away.
        """

    @cached_property
    def _alone(self) -> "Chain":
        return Chain([self])

    def intercept_service(self, continuation, handler_call_details):
        return self._alone.intercept_service(continuation, handler_call_details)


class Exempt(Interceptor):
    """Leave out `interceptor` for the methods that `exempt` says."""

    def __init__(self, interceptor: Interceptor, exempt: Callable[[Method], bool]):
        self._interceptor = interceptor
        self._exempt = exempt

    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        return proceed if self._exempt(method) else self._interceptor.wrap(method, proceed)


class Chain(Interceptor):
    """Run `interceptors`, outermost first, around every RPC, those of unknown methods too."""

    def __init__(self, interceptors: Sequence[Interceptor]):
        self._interceptors = tuple(interceptors)
        # By the id of the handler, which is kept alive beside its wrapped form: never by a caller's string.
        self._kept: dict[int, tuple[grpc.RpcMethodHandler, grpc.RpcMethodHandler]] = {}
        self._unknown = self.wrap(UNKNOWN_METHOD, _refuse_unknown)

    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        for interceptor in reversed(self._interceptors):
            proceed = interceptor.wrap(method, proceed)
        return proceed

    def intercept_service(self, continuation, handler_call_details):
        handler = continuation(handler_call_details)
        if handler is None:
            return self._unknown_handler(handler_call_details.method)
        kept = self._kept.get(id(handler))
        if kept is None:
            service, _, name = handler_call_details.method.lstrip("/").rpartition("/")
            method = Method(service, name, handler.request_streaming, handler.response_streaming)
            kept = (handler, self._wrapped_handler(method, handler))
            if len(self._kept) < MAX_KEPT_HANDLERS:
                self._kept[id(handler)] = kept
        return kept[1]

    def _wrapped_handler(self, method: Method, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        proceed = self.wrap(method, innermost(handler))
        path = method.full

        def serve_pulling(request: Any, context: Any) -> Any:
            return proceed(Call(method, context, path), request)

        def serve_pushing(request: Any, context: Any, send: Callable[[Any], None]) -> None:
            call = Call(method, context, path)
            call.pushed = PushedStream(context, send)
            call.pushed.open(lambda: proceed(call, request))

        pushing = is_non_blocking(handler)
        serve: Any = serve_pushing if pushing else serve_pulling
        # grpc reads these two from the behaviour.
        serve.experimental_thread_pool = getattr(behaviour_of(handler), "experimental_thread_pool", None)
        serve.experimental_non_blocking = pushing
        return _FACTORIES[method.request_streaming, method.response_streaming](serve)

    def _unknown_handler(self, asked: str) -> grpc.RpcMethodHandler:
        path = "".join(c if " " <= c <= "~" else "?" for c in asked[:MAX_PATH_CHARACTERS])
        return grpc.stream_unary_rpc_method_handler(
            lambda requests, context: self._unknown(Call(UNKNOWN_METHOD, context, path), requests)
        )


def _refuse_unknown(call: Call, _requests: Iterator[bytes]) -> bytes:
    raise StatusError(grpc.StatusCode.UNIMPLEMENTED, f"unknown method {call.path}", reason="UNKNOWN_METHOD")
