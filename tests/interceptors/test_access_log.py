"""One line an RPC: its fields, its level, and what must not be in it."""

import json
import re
import threading

import grpc
import pytest

from interceptors.chain import Call
from interceptors.errors import Errors
from interceptors.logging import MAX_TRACEBACK_CHARACTERS, AccessLog
from interceptors.status import GO_NAMES, StatusError
from tests.interceptors.echo_service import METHODS, text, wait_until

FIELDS = [
    "time",
    "level",
    "msg",
    "method",
    "kind",
    "code",
    "duration_ms",
    "peer",
    "identity",
    "request_id",
    "trace_id",
]
TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_line_has_every_field_in_order(serve, lines):
    serve(AccessLog(lines), Errors()).unary(
        text("secret payload"),
        timeout=10,
        metadata=[("x-request-id", "r-1"), ("traceparent", f"00-{TRACE}-b7ad6b7169203331-00")],
    )
    line = lines.wait()[0]
    assert list(line) == FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert re.fullmatch(r"ipv4:127\.0\.0\.1:\d+", line["peer"])
    assert 0 < line["duration_ms"] < 10_000
    assert {key: line[key] for key in FIELDS if key not in ("time", "peer", "duration_ms")} == {
        "level": "info",
        "msg": "rpc",
        "method": "/test.Echo/Unary",
        "kind": "unary",
        "code": "OK",
        "identity": None,
        "request_id": "r-1",
        "trace_id": TRACE,
    }


def test_every_arity_is_one_line(serve, lines):
    echo = serve(AccessLog(lines), Errors())
    echo.unary(text("ab"), timeout=10)
    echo.client_stream(iter([text("a")]), timeout=10)
    assert len(list(echo.server_stream(text("ab"), timeout=10))) == 2
    assert len(list(echo.bidi(iter([text("a")]), timeout=10))) == 1
    logged = {(line["method"], line["kind"], line["code"]) for line in lines.wait(4)}
    assert logged == {(method.full, method.kind, "OK") for method in METHODS}


@pytest.mark.parametrize(
    ("code", "level"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "info"),
        (grpc.StatusCode.NOT_FOUND, "info"),
        (grpc.StatusCode.PERMISSION_DENIED, "info"),
        (grpc.StatusCode.UNIMPLEMENTED, "info"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "warning"),
        (grpc.StatusCode.UNAVAILABLE, "warning"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "warning"),
        (grpc.StatusCode.INTERNAL, "error"),
        (grpc.StatusCode.UNKNOWN, "error"),
        (grpc.StatusCode.DATA_LOSS, "error"),
    ],
)
def test_mistakes_of_the_caller_are_info_and_only_our_own_faults_carry_a_traceback(serve, lines, code, level):
    def behave(request, context):
        raise StatusError(code, 'says "why"', reason="X")

    echo = serve(AccessLog(lines), Errors(), unary=behave)
    with pytest.raises(grpc.RpcError):
        echo.unary(text("a"), timeout=10)
    line = lines.wait()[0]
    assert (line["level"], line["code"], line["error"]) == (level, GO_NAMES[code], 'says "why"')
    assert ("traceback" in line) == (level == "error")


def test_go_spelling_of_codes():
    assert [GO_NAMES[code] for code in sorted(grpc.StatusCode, key=lambda code: code.value[0])] == [
        *("OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists"),
        *("PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange"),
        *("Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"),
    ]


def test_a_long_traceback_keeps_its_end_and_can_be_left_out(serve, lines):
    def behave(request, context):
        raise ValueError("x" * 50_000 + "the end")

    echo = serve(AccessLog(lines), Errors(), unary=behave)
    quiet = type(lines)()
    silent = serve(AccessLog(quiet, tracebacks=False), Errors(), unary=behave)
    for server in (echo, silent):
        with pytest.raises(grpc.RpcError):
            server.unary(text("a"), timeout=10)
    assert len(lines.wait()[0]["traceback"]) == MAX_TRACEBACK_CHARACTERS
    assert lines[0]["traceback"].endswith("the end\n")
    assert "traceback" not in quiet.wait()[0]


def test_a_caller_who_cancels_is_logged_as_canceled(serve, lines):
    began, release = threading.Event(), threading.Event()

    def behave(request, context):
        began.set()
        release.wait(10)
        wait_until(lambda: not context.is_active())
        return text("late")

    call = serve(AccessLog(lines), Errors(), unary=behave).unary.future(text("a"), timeout=10)
    assert began.wait(10)
    call.cancel()
    release.set()
    assert (lines.wait()[0]["code"], lines[0]["level"]) == ("Canceled", "info")


def test_a_caller_who_leaves_a_stream_is_logged_as_canceled(serve, lines):
    def behave(request, context):
        while True:
            yield text("more")

    replies = serve(AccessLog(lines), Errors(), server_stream=behave).server_stream(text("a"), timeout=10)
    next(replies)
    replies.cancel()
    assert (lines.wait()[0]["code"], lines[0]["kind"]) == ("Canceled", "server_stream")


def test_a_caller_who_leaves_while_its_requests_are_awaited_is_logged_as_canceled(serve, lines):
    release = threading.Event()

    def requests():
        yield text("a")
        release.wait(10)

    def behave(received, context):
        # A cancelled stream raises here or, in a race within grpc, ends like a complete one.
        yield from received
        wait_until(lambda: not context.is_active())

    replies = serve(AccessLog(lines), Errors(), bidi=behave).bidi(requests(), timeout=10)
    next(replies)
    replies.cancel()
    release.set()
    assert lines.wait()[0]["code"] == "Canceled"
    assert "traceback" not in lines[0]


def test_a_deadline_that_passes_is_logged_as_deadline_exceeded(serve, lines):
    def behave(request, context):
        wait_until(lambda: not context.is_active())
        return text("late")

    echo = serve(AccessLog(lines), Errors(), unary=behave)
    with pytest.raises(grpc.RpcError):
        echo.unary(text("a"), timeout=0.2)
    assert (lines.wait()[0]["code"], lines[0]["level"]) == ("DeadlineExceeded", "warning")


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("closed file")])
def test_a_log_that_cannot_be_written_does_not_fail_the_call(serve, error):
    def write(line):
        raise error

    assert serve(AccessLog(write), Errors()).unary(text("a"), timeout=10).value == "a"


def test_the_callers_text_cannot_break_out_of_a_line(serve, lines):
    echo = serve(AccessLog(lines), Errors())
    with pytest.raises(grpc.RpcError):
        echo.ask('/x"},{"level":"error/y')
    assert lines.wait()[0]["error"] == 'unknown method /x"},{"level":"error/y'


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00-short",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f'00-{TRACE}"-x-01',
    ],
)
def test_an_invalid_traceparent_is_no_trace(parent):
    assert Call(METHODS[0], _Context(parent)).trace_id is None


class _Context:
    def __init__(self, parent: str):
        self.parent = parent

    def invocation_metadata(self):
        return (("traceparent", self.parent),)


def test_lines_are_whole_when_many_threads_write(serve):
    written = []
    echo = serve(AccessLog(written.append), Errors())
    calls = [echo.unary.future(text("a"), timeout=10) for _ in range(100)]
    for call in calls:
        call.result()
    wait_until(lambda: len(written) == 100)
    assert {json.loads(line)["code"] for line in written} == {"OK"}
