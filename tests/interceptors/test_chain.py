"""The chain itself: every arity, unknown methods, messages that cannot be read or written."""

import threading

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from recommendations_pb2 import DESCRIPTOR as TUTORIAL

from interceptors.chain import MAX_PATH_CHARACTERS, Chain, Exempt, Interceptor, Method, methods_of
from interceptors.errors import Errors
from interceptors.logging import AccessLog
from tests.interceptors.echo_service import BIDI, CLIENT_STREAM, METHODS, SERVER_STREAM, UNARY, text


class Trail(Interceptor):
    """Notes when it is built and when it is entered."""

    def __init__(self, name: str, notes: list):
        self.name, self.notes = name, notes

    def wrap(self, method, proceed):
        self.notes.append(("built", self.name, method))

        def unary(call, request):
            self.notes.append(("entered", self.name, call.method))
            return proceed(call, request)

        def stream(call, request):
            self.notes.append(("entered", self.name, call.method))
            yield from proceed(call, request)

        return stream if method.response_streaming else unary


def call_all(echo):
    words = [text("a"), text("b")]
    return (
        echo.unary(text("ab"), timeout=10).value,
        echo.client_stream(iter(words), timeout=10).value,
        [reply.value for reply in echo.server_stream(text("ab"), timeout=10)],
        [reply.value for reply in echo.bidi(iter(words), timeout=10)],
    )


def test_all_arities_pass_every_layer_outermost_first(serve):
    notes = []
    echo = serve(Trail("outer", notes), Trail("inner", notes))
    assert call_all(echo) == ("ab", "ab", ["a", "b"], ["a", "b"])
    entered = [(name, method) for event, name, method in notes if event == "entered"]
    assert entered == [(name, method) for method in METHODS for name in ("outer", "inner")]


def test_layers_are_built_once_for_each_method(serve):
    notes = []
    echo = serve(Trail("only", notes))
    for _ in range(3):
        call_all(echo)
    built = [method for event, _, method in notes if event == "built" and method.service != "unknown"]
    assert sorted(built, key=lambda method: method.name) == sorted(METHODS, key=lambda method: method.name)


def test_an_empty_chain_changes_nothing(serve):
    assert call_all(serve()) == ("ab", "ab", ["a", "b"], ["a", "b"])


def test_an_interceptor_works_alone(lines):
    behave = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    alone = AccessLog(lines)
    first, second = (alone.intercept_service(lambda details: behave, _Details("/a.B/C")) for _ in range(2))
    assert first is second
    assert first.unary_unary is not behave.unary_unary


def test_unknown_names_are_not_kept(serve, lines):
    notes = []
    trail = Trail("only", notes)
    echo = serve(AccessLog(lines), Errors(), trail)
    for number in range(20):
        with pytest.raises(grpc.RpcError) as refused:
            echo.ask(f"/made.Up/Name{number}")
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert refused.value.details() == f"unknown method /made.Up/Name{number}"
    assert len([note for note in notes if note[0] == "built"]) == 1
    assert {line["method"] for line in lines.wait(20)} == {"/unknown/unknown"}


def test_unknown_method_of_a_streaming_client_is_answered_without_waiting_for_a_message(serve):
    release = threading.Event()

    def silent():
        release.wait(10)
        yield b""

    call = serve(Errors()).channel.stream_stream("/made.Up/Name")(silent(), timeout=10)
    with pytest.raises(grpc.RpcError) as refused:
        next(call)
    release.set()
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_unknown_path_is_shortened_and_printable_in_the_answer(serve):
    echo = serve(Errors())
    with pytest.raises(grpc.RpcError) as refused:
        echo.ask("/x/" + "y" * 1000)
    assert refused.value.details() == "unknown method /x/" + "y" * (MAX_PATH_CHARACTERS - 3)
    chain = Chain([])
    path = {}
    chain._unknown = lambda call, requests: path.update(path=call.path)
    chain.intercept_service(lambda details: None, _Details("/é\n\x00/b")).stream_unary((), None)
    assert path["path"] == "/???/b"


@pytest.mark.parametrize("method", [UNARY, SERVER_STREAM], ids=lambda method: method.name)
def test_an_undecodable_request_is_invalid_argument_and_logged(serve, lines, method):
    echo = serve(AccessLog(lines), Errors())
    with pytest.raises(grpc.RpcError) as refused:
        list(echo.channel.unary_stream(method.full)(b"\xff\xff\xff", timeout=10))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == (
        "the message is not a valid google.protobuf.StringValue: its 3 bytes cannot be parsed"
    )
    assert lines.wait()[0]["code"] == "InvalidArgument"
    assert lines[0]["level"] == "info"


@pytest.mark.parametrize("method", [CLIENT_STREAM, BIDI], ids=lambda method: method.name)
def test_an_undecodable_message_in_a_stream_ends_it_with_invalid_argument(serve, lines, method):
    echo = serve(AccessLog(lines), Errors())
    replies = echo.channel.stream_stream(method.full, response_deserializer=StringValue.FromString)(
        iter([text("a").SerializeToString(), b"\xff\xff"]), timeout=10
    )
    got = []
    with pytest.raises(grpc.RpcError) as refused:
        _collect(replies, got)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [reply.value for reply in got] == (["a"] if method is BIDI else [])
    assert lines.wait()[0]["code"] == "InvalidArgument"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_an_unserialisable_reply_is_internal_and_logged(serve, lines, method):
    def wrong(request, context):
        return 12

    def wrongs(request, context):
        yield 12

    echo = serve(
        AccessLog(lines), Errors(), unary=wrong, client_stream=wrong, server_stream=wrongs, bidi=wrongs
    )
    with pytest.raises(grpc.RpcError) as failed:
        list(echo.channel.stream_stream(method.full)(iter([b""]), timeout=10))
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert failed.value.details().startswith("internal error; request id ")
    line = lines.wait()[0]
    assert (line["code"], line["level"]) == ("Internal", "error")
    assert "TypeError" in line["traceback"]


def test_a_handler_without_serializer_that_returns_nothing_is_internal(serve, lines):
    echo = serve(AccessLog(lines), Errors())
    assert echo.ask("/test.Echo/Raw", b"bytes") == b"bytes"
    with pytest.raises(grpc.RpcError) as failed:
        echo.ask("/test.Echo/Raw", b"")
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert [line["code"] for line in lines.wait(2)] == ["OK", "Internal"]


def test_exempt_methods_do_not_meet_the_interceptor(serve):
    notes = []
    echo = serve(Exempt(Trail("only", notes), lambda method: method == BIDI))
    call_all(echo)
    assert [method for event, _, method in notes if event == "entered"] == [
        method for method in METHODS if method != BIDI
    ]


def test_methods_are_read_from_a_service_descriptor():
    assert methods_of(TUTORIAL.services_by_name["Recommendations"]) == (
        Method("Recommendations", "Recommend"),
    )
    assert Method("a.B", "C").full == "/a.B/C"
    assert [method.kind for method in METHODS] == ["unary", "client_stream", "server_stream", "bidi_stream"]


class _Details:
    def __init__(self, method: str):
        self.method = method


def _collect(replies, got):
    for reply in replies:
        got.append(reply)
