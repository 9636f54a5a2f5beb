"""No call outlives its time, and none begins without any."""

import threading
import time

import grpc
import pytest

from interceptors import deadline
from interceptors.chain import Call
from interceptors.deadline import Deadline, deadline_of
from interceptors.errors import Errors
from interceptors.logging import AccessLog
from interceptors.status import StatusError
from tests.interceptors.echo_service import METHODS, UNARY, text, wait_until

LONG_SECONDS = 60


@pytest.fixture
def short_grace(monkeypatch):
    monkeypatch.setattr(deadline, "CUT_OFF_GRACE_SECONDS", 0.05)


class Spent:
    """A context whose caller has stopped waiting."""

    def time_remaining(self) -> float:
        return 0.0


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_nothing_is_started_when_no_time_is_left(method):
    started = []
    guarded = Deadline(LONG_SECONDS, LONG_SECONDS).wrap(method, lambda call, request: started.append(call))
    with pytest.raises(StatusError, match="no time left") as refused:
        list(guarded(Call(method, Spent()), iter(())) or ())
    assert refused.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert not started


def test_a_deadline_of_a_tenth_of_a_millisecond_fails_clearly_or_is_answered_in_time(serve, lines):
    left = []

    def behave(request, context):
        if request.value == "a":
            left.append(deadline_of(context) - time.monotonic())
        return request

    echo = serve(AccessLog(lines), Errors(), Deadline(LONG_SECONDS, LONG_SECONDS), unary=behave)
    calls = [echo.unary.future(text("a"), timeout=0.0001) for _ in range(20)]
    # grpc rounds it up to a millisecond, which is enough now and then.
    codes = {call.code() for call in calls}
    assert codes <= {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK}
    assert echo.unary(text("b"), timeout=10).value == "b"
    assert all(seconds < 0.01 for seconds in left)
    assert {line["code"] for line in lines} <= {"DeadlineExceeded", "OK"}


def test_the_tighter_of_both_deadlines_is_told_to_the_handler(serve):
    seen = []

    def behave(request, context):
        seen.append(deadline_of(context) - time.monotonic())
        return request

    echo = serve(Errors(), Deadline(20, LONG_SECONDS), unary=behave)
    for timeout in (10, 40, None):
        echo.unary(text("a"), timeout=timeout)
    assert [round(seconds) for seconds in seen] == [10, 20, 20]


def test_the_servers_maximum_ends_a_unary_call_that_has_no_deadline(serve, lines):
    def behave(request, context):
        wait_until(lambda: time.monotonic() > deadline_of(context))
        return request

    echo = serve(AccessLog(lines), Errors(), Deadline(0.05, LONG_SECONDS), unary=behave, client_stream=behave)
    with pytest.raises(grpc.RpcError) as late:
        echo.unary(text("a"))
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert lines.wait()[0]["code"] == "DeadlineExceeded"


def test_a_busy_stream_ends_between_two_messages_at_the_servers_maximum(serve, lines):
    def behave(request, context):
        while True:
            yield text("more")

    echo = serve(AccessLog(lines), Errors(), Deadline(LONG_SECONDS, 0.1), server_stream=behave)
    with pytest.raises(grpc.RpcError) as late:
        for _ in echo.server_stream(text("a")):
            pass
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert lines.wait()[0]["code"] == "DeadlineExceeded"


def test_a_client_that_keeps_sending_is_ended_at_the_servers_maximum(serve):
    over = threading.Event()

    def requests():
        while not over.wait(0.01):
            yield text("more")

    echo = serve(Errors(), Deadline(LONG_SECONDS, 0.1))
    with pytest.raises(grpc.RpcError) as late:
        echo.client_stream(requests())
    over.set()
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("arity", ["bidi", "client_stream"])
def test_an_idle_stream_is_cut_off_and_its_thread_comes_back(serve, lines, short_grace, arity):
    release = threading.Event()

    def requests():
        yield text("a")
        release.wait(10)

    echo = serve(AccessLog(lines), Errors(), Deadline(LONG_SECONDS, 0.1))
    with pytest.raises(grpc.RpcError) as cut:
        list(getattr(echo, arity)(requests(), timeout=LONG_SECONDS))
    release.set()
    assert cut.value.code() is grpc.StatusCode.CANCELLED
    line = lines.wait()[0]
    assert (line["code"], line["level"]) == ("DeadlineExceeded", "warning")
    assert "traceback" not in line


def test_a_stream_within_its_time_is_left_alone_and_nothing_stays_watched(serve, lines):
    guard = Deadline(LONG_SECONDS, LONG_SECONDS)
    echo = serve(AccessLog(lines), Errors(), guard)
    assert len(list(echo.bidi(iter([text("a"), text("b")]), timeout=10))) == 2
    assert echo.client_stream(iter([text("a")]), timeout=10).value == "a"
    assert [line["code"] for line in lines.wait(2)] == ["OK", "OK"]
    assert not guard._cut_off._due


def test_streams_are_cut_off_in_turn_and_the_watching_thread_ends_and_begins_again(serve, short_grace):
    release = threading.Event()

    def requests():
        release.wait(10)
        yield text("a")

    guard = Deadline(LONG_SECONDS, 0.05)
    echo = serve(Errors(), guard)
    for _ in range(2):
        streams = [echo.bidi(requests()) for _ in range(3)]
        for stream in streams:
            with pytest.raises(grpc.RpcError):
                next(stream)
        wait_until(lambda: not guard._cut_off._running)
    release.set()


def test_the_clients_own_deadline_ends_a_waiting_stream(serve, lines):
    release = threading.Event()

    def requests():
        yield text("a")
        release.wait(10)

    echo = serve(AccessLog(lines), Errors(), Deadline(LONG_SECONDS, LONG_SECONDS))
    with pytest.raises(grpc.RpcError) as late:
        list(echo.bidi(requests(), timeout=0.2))
    release.set()
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert lines.wait()[0]["code"] == "DeadlineExceeded"


def test_a_call_without_any_deadline_passes(serve):
    assert serve(Errors(), Deadline(1, 1)).unary(text("a")).value == "a"
    assert UNARY.kind == "unary"
