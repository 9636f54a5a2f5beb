"""A service of all four arities behind a chain, on a real server, with its client."""

import threading
import time
from collections.abc import Callable
from concurrent import futures

import grpc
from google.protobuf.wrappers_pb2 import StringValue

from interceptors.chain import Method

SERVICE = "test.Echo"
UNARY = Method(SERVICE, "Unary")
CLIENT_STREAM = Method(SERVICE, "ClientStream", request_streaming=True)
SERVER_STREAM = Method(SERVICE, "ServerStream", response_streaming=True)
BIDI = Method(SERVICE, "Bidi", request_streaming=True, response_streaming=True)
METHODS = (UNARY, CLIENT_STREAM, SERVER_STREAM, BIDI)


def text(value: str) -> StringValue:
    return StringValue(value=value)


def echo(request, context):
    return text(request.value)


def join(requests, context):
    return text("".join(request.value for request in requests))


def spell(request, context):
    for letter in request.value:
        yield text(letter)


def echo_each(requests, context):
    for request in requests:
        yield text(request.value)


class Echo:
    """A running server and stubs of its four methods; they take and give StringValue, or raw bytes."""

    def __init__(self, interceptors, unary, client_stream, server_stream, bidi, add_services):
        self._pool = futures.ThreadPoolExecutor(8)
        self.server = grpc.server(self._pool, interceptors=interceptors)
        decode, encode = StringValue.FromString, StringValue.SerializeToString
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(unary, decode, encode),
            "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream, decode, encode),
            "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream, decode, encode),
            "Bidi": grpc.stream_stream_rpc_method_handler(bidi, decode, encode),
            "Raw": grpc.unary_unary_rpc_method_handler(lambda request, context: request or None),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        add_services(self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        codec = (_encode, StringValue.FromString)
        self.unary = self.channel.unary_unary(UNARY.full, *codec)
        self.client_stream = self.channel.stream_unary(CLIENT_STREAM.full, *codec)
        self.server_stream = self.channel.unary_stream(SERVER_STREAM.full, *codec)
        self.bidi = self.channel.stream_stream(BIDI.full, *codec)

    def ask(self, path: str, message: bytes = b"", **call):
        """Call any path with raw bytes."""
        return self.channel.unary_unary(path)(message, timeout=10, **call)

    def close(self):
        self.channel.close()
        self.server.stop(None)
        self._pool.shutdown(wait=False)


def _encode(message: StringValue | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Poll `condition` until it holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.005)
