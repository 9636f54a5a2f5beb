"""What a caller learns of a failure, and what never reaches it."""

from typing import NamedTuple

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from interceptors.errors import Errors
from interceptors.logging import AccessLog
from interceptors.status import (
    ERROR_DOMAIN,
    MAX_DETAILS_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_VIOLATIONS,
    StatusError,
    rich_status,
)
from tests.interceptors.echo_service import text

SECRET = "password=hunter2"


class Broken(NamedTuple):
    field: str
    description: str


def failing(error):
    def behave(request, context):
        raise error

    return behave


def fail(echo, **call) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as failed:
        echo.unary(text("a"), timeout=10, **call)
    return failed.value


def details_of(error, kind):
    for detail in rpc_status.from_call(error).details:
        if detail.Is(kind.DESCRIPTOR):
            message = kind()
            detail.Unpack(message)
            return message
    return None


def request_id_of(rpc) -> str:
    return dict(rpc.trailing_metadata())["x-request-id"]


@pytest.mark.parametrize(
    "error", [ValueError(SECRET), Exception(SECRET), SystemExit(SECRET), grpc.RpcError(SECRET)], ids=repr
)
def test_the_text_of_an_unforeseen_exception_never_reaches_the_caller(serve, lines, error):
    echo = serve(AccessLog(lines), Errors(), unary=failing(error))
    failed = fail(echo)
    assert failed.code() is grpc.StatusCode.INTERNAL
    assert failed.details() == f"internal error; request id {request_id_of(failed)}"
    assert SECRET not in repr(failed.trailing_metadata())
    assert SECRET in lines.wait()[0]["traceback"]


def test_an_exception_with_a_text_after_set_code_does_not_pass_as_an_abort(serve):
    def behave(request, context):
        context.set_code(grpc.StatusCode.NOT_FOUND)
        raise Exception(SECRET)

    failed = fail(serve(Errors(), unary=behave))
    assert failed.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in failed.details()


def test_abort_passes_with_its_own_trailers_and_the_request_id(serve, lines):
    def behave(request, context):
        context.set_trailing_metadata((("shelf", "3"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "no such book")

    failed = fail(serve(AccessLog(lines), Errors(), unary=behave))
    assert (failed.code(), failed.details()) == (grpc.StatusCode.NOT_FOUND, "no such book")
    assert dict(failed.trailing_metadata())["shelf"] == "3"
    assert lines.wait()[0]["request_id"] == request_id_of(failed)
    assert (lines[0]["code"], lines[0]["error"]) == ("NotFound", "no such book")


def test_a_method_that_nobody_wrote_is_unimplemented(serve):
    def behave(request, context):
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details("Method not implemented!")
        raise NotImplementedError("Method not implemented!")

    failed = fail(serve(Errors(), unary=behave))
    assert (failed.code(), failed.details()) == (grpc.StatusCode.UNIMPLEMENTED, "method not implemented")


def test_a_translated_error_carries_google_rpc_details(serve):
    known = StatusError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "two fields\nare wrong",
        reason="INVALID_INPUT",
        violations=[
            Broken("page_size", "is -1: must be 0 to 500"),
            Broken("reader_id", "is 0: must be positive"),
        ],
        retry_seconds=1.25,
        metadata={"limit": "500"},
    )
    echo = serve(
        Errors(lambda error: known if isinstance(error, KeyError) else None), unary=failing(KeyError())
    )
    failed = fail(echo)
    assert (failed.code(), failed.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "two fields are wrong")
    bad = details_of(failed, error_details_pb2.BadRequest)
    assert [(each.field, each.description) for each in bad.field_violations] == [
        ("page_size", "is -1: must be 0 to 500"),
        ("reader_id", "is 0: must be positive"),
    ]
    info = details_of(failed, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "INVALID_INPUT",
        ERROR_DOMAIN,
        {"limit": "500"},
    )
    delay = details_of(failed, error_details_pb2.RetryInfo).retry_delay
    assert (delay.seconds, delay.nanos) == (1, 250_000_000)


def test_ten_thousand_violations_arrive_as_twenty_and_a_count(serve):
    violations = [Broken(f"books[{n}].id", f"is {-n}: must be positive") for n in range(10_000)]
    known = StatusError(grpc.StatusCode.INVALID_ARGUMENT, "bad", reason="X", violations=violations)
    failed = fail(serve(Errors(), unary=failing(known)))
    listed = details_of(failed, error_details_pb2.BadRequest).field_violations
    assert len(listed) == MAX_VIOLATIONS + 1
    assert listed[-1].description == "… and 9980 more"


@pytest.mark.parametrize("letter", ["x", "é", "\ud800"])
def test_details_stay_within_their_limit_whatever_they_quote(letter):
    violations = [Broken(letter * 5000, letter * 50_000)] * 10_000
    status = rich_status(
        StatusError(
            grpc.StatusCode.INVALID_ARGUMENT,
            letter * 50_000,
            reason="X",
            violations=violations,
            retry_seconds=1,
            metadata={"long": "m" * 3000},
        )
    )
    ((_, details),) = status.trailing_metadata
    assert len(details) <= MAX_DETAILS_BYTES
    assert len(status.details.encode()) <= MAX_MESSAGE_BYTES
    assert b" more" in details


def test_oversized_metadata_is_dropped_last():
    status = rich_status(
        StatusError(grpc.StatusCode.NOT_FOUND, "gone", reason="GONE", metadata={"long": "m" * 9000})
    )
    ((_, details),) = status.trailing_metadata
    assert b"GONE" in details
    assert len(details) < 200


def test_the_largest_error_reaches_the_caller_with_its_own_code(serve):
    violations = [Broken("f" * 128, "é" * 250)] * 10_000
    known = StatusError(grpc.StatusCode.INVALID_ARGUMENT, "x" * 5000, reason="X", violations=violations)
    failed = fail(serve(Errors(), unary=failing(known)))
    assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (
        details_of(failed, error_details_pb2.BadRequest).field_violations[-1].description.startswith("… and ")
    )


def test_a_failing_translation_is_internal_and_both_errors_are_logged(serve, lines):
    def translate(error):
        raise LookupError("table")

    echo = serve(AccessLog(lines), Errors(translate), unary=failing(ValueError("cause")))
    assert fail(echo).code() is grpc.StatusCode.INTERNAL
    assert "ValueError: cause" in lines.wait()[0]["traceback"]
    assert "LookupError: table" in lines[0]["traceback"]


@pytest.mark.parametrize("error", [ValueError(SECRET), StatusError(grpc.StatusCode.ABORTED, "m", reason="X")])
def test_a_stream_that_fails_midway_keeps_its_first_messages_and_gets_a_status(serve, lines, error):
    def behave(request, context):
        yield text("first")
        raise error

    echo = serve(AccessLog(lines), Errors(), server_stream=behave)
    replies = echo.server_stream(text("a"), timeout=10)
    assert next(replies).value == "first"
    with pytest.raises(grpc.RpcError) as failed:
        next(replies)
    expected = error.code if isinstance(error, StatusError) else grpc.StatusCode.INTERNAL
    assert failed.value.code() is expected
    assert SECRET not in failed.value.details()
    assert lines.wait()[0]["code"] == expected.name.capitalize()


def test_a_client_stream_whose_handler_fails_is_mapped(serve):
    def behave(requests, context):
        next(requests)
        raise ValueError(SECRET)

    echo = serve(Errors(), client_stream=behave)
    with pytest.raises(grpc.RpcError) as failed:
        echo.client_stream(iter([text("a"), text("b")]), timeout=10)
    assert failed.value.code() is grpc.StatusCode.INTERNAL


def test_success_carries_the_request_id_beside_the_handlers_own_trailers(serve):
    def behave(request, context):
        context.set_trailing_metadata((("shelf", "3"),))
        return request

    _, call = serve(Errors(), unary=behave).unary.with_call(
        text("a"), timeout=10, metadata=[("x-request-id", "order-17.a_B")]
    )
    assert [tuple(pair) for pair in call.trailing_metadata()] == [
        ("shelf", "3"),
        ("x-request-id", "order-17.a_B"),
    ]


def test_streams_carry_the_request_id_too(serve):
    replies = serve(Errors()).bidi(iter([text("a")]), timeout=10, metadata=[("x-request-id", "s-1")])
    assert len(list(replies)) == 1
    assert request_id_of(replies) == "s-1"


@pytest.mark.parametrize("given", ["x" * 65, "two words", 'quote"', "semi;colon"])
def test_a_bad_request_id_is_replaced(serve, given):
    _, call = serve(Errors()).unary.with_call(text("a"), timeout=10, metadata=[("x-request-id", given)])
    assert request_id_of(call) != given
    assert len(request_id_of(call)) <= 64


def test_generated_request_ids_differ(serve):
    echo = serve(Errors())
    ids = {request_id_of(echo.unary.with_call(text("a"), timeout=10)[1]) for _ in range(20)}
    assert len(ids) == 20
