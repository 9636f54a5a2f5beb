"""Who is refused when there is too much work, and for how long."""

import threading

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from interceptors import limits
from interceptors.chain import Exempt, Interceptor
from interceptors.errors import Errors
from interceptors.identity import PeerIdentity
from interceptors.limits import Limits
from tests.interceptors.echo_service import UNARY, text, wait_until


class Named(Interceptor):
    """Takes the caller's word for who it is."""

    def wrap(self, method, proceed):
        def unary(call, request):
            call.identity = PeerIdentity(call.metadata.get("name", "anonymous"), (), (), authenticated=True)
            return proceed(call, request)

        def stream(call, request):
            return unary(call, request)

        return stream if method.response_streaming else unary


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def refused(call, *arguments, **named) -> tuple[str, float]:
    """Return the message and the seconds to wait of a refused call."""
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, timeout=10, **named)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    retry = error_details_pb2.RetryInfo()
    assert any(
        detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry)
        for detail in rpc_status.from_call(error.value).details
    )
    return error.value.details(), retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9


def of(name: str) -> dict:
    return {"metadata": [("name", name)]}


def test_each_identity_has_a_bucket_of_its_own(serve):
    clock, told = Clock(), []
    guard = Limits(2, 3, 100, max_streams=10, clock=clock, on_refused=told.append)
    echo = serve(Errors(), Named(), guard)
    for _ in range(3):
        echo.unary(text("a"), timeout=10, **of("shop"))
    message, retry_seconds = refused(echo.unary, text("a"), **of("shop"))
    assert message == "too many requests: 2 a second with bursts of 3 is the limit of each client"
    assert retry_seconds == pytest.approx(0.5)
    echo.unary(text("a"), timeout=10, **of("mail"))
    clock.now += 0.25
    assert refused(echo.unary, text("a"), **of("shop"))[1] == pytest.approx(0.25)
    clock.now += 0.25
    echo.unary(text("a"), timeout=10, **of("shop"))
    assert told == ["rate", "rate"]


def test_a_bucket_never_holds_more_than_its_burst(serve):
    clock = Clock()
    echo = serve(Errors(), Named(), Limits(10, 2, 100, max_streams=10, clock=clock))
    echo.unary(text("a"), timeout=10, **of("shop"))
    clock.now += 3600
    for _ in range(2):
        echo.unary(text("a"), timeout=10, **of("shop"))
    refused(echo.unary, text("a"), **of("shop"))


def test_the_table_of_buckets_is_bounded_and_forgets_the_one_unused_for_longest(monkeypatch):
    monkeypatch.setattr(limits, "MAX_BUCKETS", 2)
    buckets = limits._Buckets(1, 1)
    assert [buckets.take(name, 0) for name in ("first", "second")] == [0, 0]
    assert buckets.take("first", 2) == 0
    assert buckets.take("third", 2) == 0
    assert sorted(buckets._held) == ["first", "third"]
    assert buckets.take("first", 2) == pytest.approx(1)


def test_unary_work_in_flight_is_bounded_and_places_come_back(serve):
    inside, release, told = threading.Semaphore(0), threading.Event(), []

    def behave(request, context):
        inside.release()
        release.wait(10)
        return request

    echo = serve(Errors(), Limits(1e6, 10**6, 2, max_streams=1, on_refused=told.append), unary=behave)
    calls = [echo.unary.future(text("a"), timeout=10) for _ in range(2)]
    assert all(inside.acquire(timeout=10) for _ in calls)
    message, retry_seconds = refused(echo.unary, text("a"))
    assert message == "the server is busy: 2 calls at a time is its limit"
    assert 0 < retry_seconds < 1
    assert [reply.value for reply in echo.server_stream(text("ab"), timeout=10)] == ["a", "b"]
    release.set()
    assert [call.result().value for call in calls] == ["a", "a"]
    assert echo.unary(text("b"), timeout=10).value == "b"
    assert told == ["in_flight"]


def test_writes_have_places_of_their_own(serve):
    inside, release, told = threading.Semaphore(0), threading.Event(), []

    def behave(request, context):
        inside.release()
        release.wait(10)
        return request

    guard = Limits(
        1e6,
        10**6,
        1,
        max_streams=1,
        max_writes=1,
        is_write=lambda method: method == UNARY,
        waiting=lambda: 100,  # so many wait that no read is taken up
        on_refused=told.append,
    )
    echo = serve(Errors(), guard, unary=behave)
    write = echo.unary.future(text("a"), timeout=10)
    assert inside.acquire(timeout=10)
    message, retry_seconds = refused(echo.unary, text("a"))
    assert message == "the server is busy: 1 changes at a time is its limit"
    assert 0 < retry_seconds <= 1
    release.set()
    assert write.result().value == "a"
    assert echo.unary(text("b"), timeout=10).value == "b"
    assert told == ["writes"]


def test_a_failing_call_gives_its_place_back(serve):
    def behave(request, context):
        raise ValueError

    echo = serve(Errors(), Limits(1e6, 10**6, 1, max_streams=1), unary=behave)
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as failed:
            echo.unary(text("a"), timeout=10)
        assert failed.value.code() is grpc.StatusCode.INTERNAL


def test_open_streams_are_bounded_and_a_cancelled_one_gives_its_place_back(serve):
    told = []
    guard = Limits(1e6, 10**6, 1, max_streams=1, on_refused=told.append)
    echo = serve(Errors(), guard)
    release = threading.Event()

    def requests():
        yield text("a")
        release.wait(10)

    open_stream = echo.bidi(requests(), timeout=10)
    next(open_stream)
    assert refused(lambda *a, **k: list(echo.server_stream(*a, **k)), text("ab"))[0].startswith(
        "the server is busy: 1 streams"
    )
    refused(echo.client_stream, iter([text("a")]))
    assert echo.unary(text("a"), timeout=10).value == "a"
    open_stream.cancel()
    release.set()
    wait_until(lambda: guard._streams.taken == 0)
    assert len(list(echo.server_stream(text("ab"), timeout=10))) == 2
    assert told == ["streams", "streams"]


def test_one_identity_may_hold_half_of_the_streams(serve):
    told, release = [], threading.Event()
    guard = Limits(1e6, 10**6, 1, max_streams=4, on_refused=told.append)
    echo = serve(Errors(), Named(), guard)

    def requests():
        yield text("a")
        release.wait(10)

    held = [echo.bidi(requests(), timeout=10, **of("shop")) for _ in range(2)]
    for each in held:
        next(each)
    refusal = refused(echo.client_stream, iter([text("a")]), **of("shop"))
    assert refusal[0] == "too many streams: 2 of the server's 4 at a time is the limit of each client"
    assert len(list(echo.server_stream(text("ab"), timeout=10, **of("mail")))) == 2
    release.set()
    assert all(not list(each) for each in held)
    wait_until(lambda: guard._streams.taken == 0)
    assert len(list(echo.server_stream(text("ab"), timeout=10, **of("shop")))) == 2
    assert told == ["streams"]
    wait_until(lambda: not guard._streams._taken_by)


def test_exempt_methods_are_never_refused(serve):
    guard = Exempt(Limits(0.001, 1, 1, max_streams=1), lambda method: method == UNARY)
    echo = serve(Errors(), guard)
    for _ in range(5):
        echo.unary(text("a"), timeout=10)
    assert len(list(echo.server_stream(text("a"), timeout=10))) == 1
    refused(lambda *a, **k: list(echo.server_stream(*a, **k)), text("a"))


@pytest.mark.parametrize(
    ("rate", "burst", "most", "streams"), [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)]
)
def test_limits_that_admit_nothing_are_refused(rate, burst, most, streams):
    with pytest.raises(ValueError, match="must be"):
        Limits(rate, burst, most, max_streams=streams)
