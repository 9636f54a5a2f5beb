"""Call a servicer's own function with decoded messages, and encode what it answers.

Must not know any interceptor. This is the innermost of a chain: what fails here is seen by all layers.
"""

from collections.abc import Callable
from typing import Any

import grpc

from interceptors.call import Call
from interceptors.status import StatusError


def behaviour_of(handler: grpc.RpcMethodHandler) -> Any:
    """Return the servicer's function, whatever its arity."""
    return handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream


def is_non_blocking(handler: grpc.RpcMethodHandler) -> bool:
    """Tell whether the function pushes its responses instead of returning them."""
    return bool(
        handler.response_streaming and getattr(behaviour_of(handler), "experimental_non_blocking", False)
    )


def innermost(handler: grpc.RpcMethodHandler) -> Callable[[Call, Any], Any]:
    """Return the servicer's own behaviour, from bytes to bytes."""
    behave, decode, encode = (
        behaviour_of(handler),
        _decoder(handler),
        _encoder(handler),
    )
    if handler.request_streaming:
        decode_message = decode

        def decode(requests):
            return map(decode_message, requests)

    if is_non_blocking(handler):

        def proceed(call, request):
            behave(decode(request), call.context, call.pushed.push)
            return map(encode, call.pushed)
    elif handler.response_streaming:

        def proceed(call, request):
            return map(encode, behave(decode(request), call.context))
    else:

        def proceed(call, request):
            return encode(behave(decode(request), call.context))

    return proceed


def _decoder(handler: grpc.RpcMethodHandler) -> Callable[[bytes], Any]:
    deserialize = handler.request_deserializer
    if deserialize is None:
        return bytes
    message_class = getattr(deserialize, "__self__", None)
    kind = getattr(getattr(message_class, "DESCRIPTOR", None), "full_name", "message of this method")

    def decode(message: bytes) -> Any:
        try:
            return deserialize(message)
        except Exception as error:
            raise StatusError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the message is not a valid {kind}: its {len(message)} bytes cannot be parsed",
                reason="UNDECODABLE_MESSAGE",
            ) from error

    return decode


def _encoder(handler: grpc.RpcMethodHandler) -> Callable[[Any], bytes]:
    serialize = handler.response_serializer or _refuse

    def encode(response: Any) -> bytes:
        # A servicer may hand over its reply in wire format: on a hot path it can know a quicker way there.
        return response if type(response) is bytes else serialize(response)

    return encode


def _refuse(response: Any) -> bytes:
    raise TypeError(f"a handler without a serializer returned {type(response).__name__}, not bytes")
