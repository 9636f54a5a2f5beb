"""Let a client read the contracts from the server: gRPC reflection, v1 and v1alpha.

Knows nothing of what the services do, nor of who may ask.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import ReflectionServicer

from service.handler_threads import on_pool

V1, V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"
_V1_FILE = "grpc/reflection/v1/reflection.proto"


def add_reflection(server: grpc.Server, services: Sequence[str], pool: ThreadPoolExecutor) -> None:
    """Register both versions of reflection, listing `services` (full names) and themselves.

    A stream holds a thread of `pool`, never one of the server's own, for as long as it is open.
    """
    _define_v1()
    servicer = ReflectionServicer([*services, V1, V1ALPHA], pool=_Symbols())
    # The two versions are the same on the wire. Each has a handler of its own, because interceptors tell
    # methods apart by it.
    for service in (V1, V1ALPHA):
        handler = grpc.stream_stream_rpc_method_handler(
            on_pool(servicer.ServerReflectionInfo, pool),
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        handlers = {"ServerReflectionInfo": handler}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        server.add_registered_method_handlers(service, handlers)


class _Symbols:
    """The default descriptor pool, which finds methods too: `grpcurl describe package.Service.Method`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(descriptor_pool.Default(), name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:  # noqa: N802 - protobuf's name
        pool = descriptor_pool.Default()
        try:
            return pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return pool.FindMethodByName(symbol).containing_service.file


def _define_v1() -> None:
    """Put grpc.reflection.v1, which grpcio-reflection does not ship, into the pool that reflection reads.

    It is v1alpha under another package, https://github.com/grpc/grpc-proto/blob/master/grpc/reflection/v1.
    """
    pool = descriptor_pool.Default()
    try:
        pool.FindServiceByName(V1)
    except KeyError:
        alpha = reflection_pb2.DESCRIPTOR.serialized_pb
        file = descriptor_pb2.FileDescriptorProto.FromString(alpha)
        file.name, file.package = _V1_FILE, V1.rpartition(".")[0]
        file.ClearField("options")  # which say that v1alpha is deprecated
        for method in file.service[0].method:
            method.input_type = _renamed(method.input_type)
            method.output_type = _renamed(method.output_type)
        for message in file.message_type:
            for field in message.field:
                if field.type_name:
                    field.type_name = _renamed(field.type_name)
        pool.AddSerializedFile(file.SerializeToString())


def _renamed(type_name: str) -> str:
    return type_name.replace(".grpc.reflection.v1alpha.", ".grpc.reflection.v1.")
