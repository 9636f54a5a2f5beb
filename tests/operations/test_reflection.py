"""Reflection through generated messages and through the real grpcurl."""

import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import recommendations_pb2  # noqa: F401 - in the pool that reflection reads
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2

from service.operations.reflection import V1, V1ALPHA, add_reflection
from tests.tools import require_tool

SERVICES = (
    "Recommendations",
    "onlinebooks.recommendations.v1.CatalogueService",
    "onlinebooks.recommendations.v1.RecommendationService",
)
STREAMS = 2


@pytest.fixture
def port(serve):
    with ThreadPoolExecutor(STREAMS) as pool:

        def register(server):
            add_reflection(server, SERVICES, pool)
            handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Echo", {"Say": handler}),))

        yield serve(register)


@pytest.fixture
def ask(port, connect):
    """Open a reflection stream in the messages of its own version."""
    channel = connect(port)

    def ask(service: str, requests):
        descriptor = (
            descriptor_pool.Default().FindServiceByName(service).methods_by_name["ServerReflectionInfo"]
        )
        request_class, response_class = map(
            message_factory.GetMessageClass, (descriptor.input_type, descriptor.output_type)
        )
        call = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_class.SerializeToString,
            response_class.FromString,
        )
        return call((request_class(**request) for request in requests), timeout=30)

    return ask


@pytest.fixture
def grpcurl(port):
    program = require_tool("grpcurl")

    def run(*arguments: str) -> str:
        before, after = arguments[:-2], arguments[-2:]
        command = [program, "-plaintext", *before, f"127.0.0.1:{port}", *(one for one in after if one)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def files_of(response) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    files = map(
        descriptor_pb2.FileDescriptorProto.FromString,
        response.file_descriptor_response.file_descriptor_proto,
    )
    return {file.name: file for file in files}


@pytest.mark.parametrize("version", [V1, V1ALPHA])
def test_every_service_is_listed(ask, version):
    [response] = ask(version, [{"list_services": ""}])
    listed = [service.name for service in response.list_services_response.service]
    assert listed == sorted([*SERVICES, V1, V1ALPHA])


@pytest.mark.parametrize("version", [V1, V1ALPHA])
@pytest.mark.parametrize("symbol", [*SERVICES, V1, V1ALPHA, f"{SERVICES[1]}.GetBook", f"{V1}Request"])
def test_files_come_with_all_that_they_import(ask, version, symbol):
    [response] = ask(version, [{"file_containing_symbol": symbol}])
    files = files_of(response)
    assert {name for file in files.values() for name in file.dependency} <= files.keys()


@pytest.mark.parametrize("version", [V1, V1ALPHA])
def test_what_does_not_exist_is_not_found_and_the_stream_goes_on(ask, version):
    requests = [
        {"file_containing_symbol": "no.Such"},
        {"file_containing_symbol": ""},
        {"file_containing_symbol": f"{SERVICES[1]}.NoSuch"},
        {"file_by_filename": "no.proto"},
        {},
        {"file_by_filename": "recommendations.proto"},
    ]
    *errors, empty, last = ask(version, requests)
    assert {error.error_response.error_code for error in errors} == {grpc.StatusCode.NOT_FOUND.value[0]}
    assert empty.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "recommendations.proto" in files_of(last)


def test_v1_is_v1alpha_under_another_package():
    v1 = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindServiceByName(V1).file.CopyToProto(v1)
    alpha = reflection_pb2.DESCRIPTOR.serialized_pb
    assert v1.name == "grpc/reflection/v1/reflection.proto"
    assert v1.package == "grpc.reflection.v1"
    assert b"v1alpha" not in v1.SerializeToString()
    expected = descriptor_pb2.FileDescriptorProto.FromString(alpha)
    assert [m.name for m in v1.message_type] == [m.name for m in expected.message_type]
    for mine, theirs in zip(v1.message_type, expected.message_type, strict=True):
        assert [(f.name, f.number, f.type) for f in mine.field] == [
            (f.name, f.number, f.type) for f in theirs.field
        ]


def test_open_streams_hold_no_thread_of_the_server(port, ask, connect):
    done = threading.Event()

    def requests():
        yield {"list_services": ""}
        done.wait(30)  # and says nothing more

    streams = [ask(version, requests()) for version in (V1, V1ALPHA)]
    for stream in streams:
        assert next(stream).list_services_response.service
    assert connect(port).unary_unary("/Echo/Say")(b"hello", timeout=10) == b"hello"
    done.set()
    assert [list(stream) for stream in streams] == [[], []]


def test_grpcurl_lists_every_service(grpcurl):
    assert grpcurl("list", "").split() == sorted([*SERVICES, V1, V1ALPHA])


@pytest.mark.parametrize("symbol", [*SERVICES, V1, V1ALPHA])
def test_grpcurl_describes_every_service(grpcurl, symbol):
    assert f"{symbol} is a service:" in grpcurl("describe", symbol)


def test_grpcurl_describes_a_method_and_a_message(grpcurl):
    assert "is a method:" in grpcurl(
        "describe", "onlinebooks.recommendations.v1.RecommendationService.Recommend"
    )
    described = grpcurl("describe", "onlinebooks.recommendations.v1.RecommendRequest")
    assert "int64 reader_id = 1;" in described


@pytest.mark.parametrize("version", [V1, V1ALPHA])
def test_grpcurl_calls_reflection_itself(grpcurl, version):
    answer = json.loads(grpcurl("-d", '{"list_services": ""}', f"{version}/ServerReflectionInfo", ""))
    assert V1 in {service["name"] for service in answer["list_services_response"]["service"]}
