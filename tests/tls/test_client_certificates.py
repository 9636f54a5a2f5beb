"""Who gets a connection."""

import datetime

import grpc
import pytest

from service.security.authority import Authority, utc_now

DAY = datetime.timedelta(days=1)


def test_client_certificate_of_the_authority_is_accepted(serve, files, authority, client):
    assert serve(files).call(authority.pair.certificate, client) is grpc.StatusCode.OK


def test_no_client_certificate_is_refused(serve, files, authority):
    assert serve(files).call(authority.pair.certificate) is grpc.StatusCode.UNAVAILABLE


def test_expired_client_certificate_is_refused(serve, files, authority):
    expired = authority.issue("late", not_before=utc_now() - 2 * DAY, not_after=utc_now() - DAY)
    assert serve(files).call(authority.pair.certificate, expired) is grpc.StatusCode.UNAVAILABLE


def test_client_certificate_that_is_not_valid_yet_is_refused(serve, files, authority):
    early = authority.issue("early", not_before=utc_now() + DAY, not_after=utc_now() + 2 * DAY)
    assert serve(files).call(authority.pair.certificate, early) is grpc.StatusCode.UNAVAILABLE


def test_self_signed_client_certificate_is_refused(serve, files, authority):
    self_signed = Authority.create("client").pair
    assert serve(files).call(authority.pair.certificate, self_signed) is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("name", ["another CA", "CA of the tests"])
def test_client_certificate_of_another_authority_is_refused(serve, files, authority, name):
    foreign = Authority.create(name).issue("client", uris=["spiffe://onlinebooks.example/client"])
    assert serve(files).call(authority.pair.certificate, foreign) is grpc.StatusCode.UNAVAILABLE


def test_server_certificate_is_no_client_certificate(serve, files, authority):
    server = authority.issue("server", hosts=["localhost"], server=True)
    assert serve(files).call(authority.pair.certificate, server) is grpc.StatusCode.UNAVAILABLE


def test_server_that_the_client_does_not_trust_is_left(serve, files, client):
    other = Authority.create().pair.certificate
    assert serve(files).call(other, client) is grpc.StatusCode.UNAVAILABLE


def test_without_client_authorities_no_certificate_is_needed(serve, files, authority):
    server = serve(files, client_ca=False)
    assert server.call(authority.pair.certificate) is grpc.StatusCode.OK
    assert server.metric("certificate_expiry_timestamp_seconds", certificate="client_ca") is None


def test_plaintext_is_refused(serve, files):
    with (
        grpc.insecure_channel(f"localhost:{serve(files).port}") as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        channel.unary_unary("/Echo/Say")(b"hello", timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
