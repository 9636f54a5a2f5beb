"""The methods that `call` can call, their requests from JSON, and their invocation; prints nothing."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message


def names() -> list[str]:
    """Return the whole name of every method."""
    return [name for name in _methods() if "/" in name]


def find(name: str) -> "MethodDescriptor":
    """Return a method by its whole name, or one of the v1 API by its own; raise click.UsageError."""
    descriptor = _methods().get(name.strip("/"))
    if descriptor is None:
        raise click.UsageError(f'"{name}" is not a method of the service; --list names them')
    return descriptor


@cache
def _methods() -> "dict[str, MethodDescriptor]":
    import recommendations_pb2
    from grpc_health.v1 import health_pb2
    from onlinebooks.recommendations.v1 import catalogue_service_pb2, recommendation_service_pb2

    found: dict[str, MethodDescriptor] = {}
    v1 = (recommendation_service_pb2, catalogue_service_pb2)
    for module in (*v1, recommendations_pb2, health_pb2):
        service: ServiceDescriptor
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                found[f"{service.full_name}/{method.name}"] = method
                if module in v1:
                    found[method.name] = method
    return found


def requests(descriptor: "MethodDescriptor", text: str) -> "list[Message]":
    """Read a request from JSON, or the requests of a stream from JSON lines; raise click.UsageError."""
    from google.protobuf import json_format
    from google.protobuf.message_factory import GetMessageClass

    make = GetMessageClass(descriptor.input_type)
    numbered = enumerate(text.splitlines() if descriptor.client_streaming else [text or "{}"], start=1)
    found = []
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            found.append(json_format.Parse(line, make()))
        except (json_format.ParseError, RecursionError) as error:
            place = f"line {number} of the data" if descriptor.client_streaming else "the data"
            raise click.UsageError(f"{place}: {' '.join(str(error).split())}") from None
    return found or ([] if descriptor.client_streaming else [make()])


def invoke(
    channel: Any,
    descriptor: "MethodDescriptor",
    messages: "list[Message]",
    timeout_seconds: float,
    metadata: list[tuple[str, str]],
) -> "Iterator[Message]":
    """Call a method of any arity and yield its replies; raises grpc.RpcError."""
    from google.protobuf.message_factory import GetMessageClass

    arity = "_".join(
        "stream" if streams else "unary"
        for streams in (descriptor.client_streaming, descriptor.server_streaming)
    )
    call = getattr(channel, arity)(
        f"/{descriptor.containing_service.full_name}/{descriptor.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(descriptor.output_type).FromString,
    )
    sent = iter(messages) if descriptor.client_streaming else messages[0]
    reply = call(sent, timeout=timeout_seconds, metadata=metadata)
    yield from reply if descriptor.server_streaming else [reply]
