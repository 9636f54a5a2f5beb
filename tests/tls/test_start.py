"""Files that a server refuses to start with: one line that names the file and the rule."""

import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from prometheus_client import CollectorRegistry

from service.security.authority import Authority, utc_now
from service.security.tls import ServerCredentials, TlsError
from tests.tls.conftest import write_pair

DAY = datetime.timedelta(days=1)


def start(files) -> ServerCredentials:
    paths = files / "server.crt", files / "server.key", files / "ca.crt"
    return ServerCredentials(*paths, reload_seconds=10, registry=CollectorRegistry())


def refused(files, *words: str) -> None:
    with pytest.raises(TlsError) as error:
        start(files)
    message = str(error.value)
    assert "\n" not in message
    assert "PRIVATE" not in message
    for word in words:
        assert word in message


def key_pem(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("name", ["server.crt", "server.key", "ca.crt"])
def test_missing_file_is_named(files, name):
    (files / name).unlink()
    refused(files, name, "No such file")


@pytest.mark.parametrize("name", ["server.crt", "server.key", "ca.crt"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 100, b"-----BEGIN CERTIFICATE-----\nMIIB"])
def test_file_that_is_not_pem_is_named(files, name, content):
    (files / name).write_bytes(content)
    refused(files, name, "PEM")


def test_huge_file_is_not_read_whole(files):
    (files / "ca.crt").write_bytes(b"x" * 2_000_000)
    refused(files, "ca.crt", "larger than")


def test_certificate_that_does_not_match_its_key(files, authority):
    (files / "server.key").write_bytes(authority.issue("other", server=True).key)
    refused(files, "server.key", "does not belong to the certificate", "server.crt")


def test_expired_server_certificate(files, authority):
    write_pair(files, authority.issue("late", hosts=["localhost"], server=True, not_after=utc_now() - DAY))
    refused(files, "server.crt", "CN=late", "expired")


def test_server_certificate_that_is_not_valid_yet(files, authority):
    early = authority.issue("early", server=True, not_before=utc_now() + DAY, not_after=utc_now() + 2 * DAY)
    write_pair(files, early)
    refused(files, "server.crt", "CN=early", "not valid before")


def test_client_certificate_as_the_server_certificate(files, client):
    write_pair(files, client)
    refused(files, "server.crt", "serverAuth")


def test_encrypted_key(files):
    key = load_pem_private_key((files / "server.key").read_bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (files / "server.key").write_bytes(encrypted)
    refused(files, "server.key", "encrypted")


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 1024),
    ],
    ids=["ed25519", "p521", "rsa1024"],
)
def test_kind_of_key_that_grpc_cannot_serve(files, key):
    (files / "server.key").write_bytes(key_pem(key))
    refused(files, "server.key", "P-256")


def test_chain_in_the_wrong_order(files, authority):
    leaf = (files / "server.crt").read_bytes()
    (files / "server.crt").write_bytes(leaf + Authority.create("stranger").pair.certificate)
    refused(files, "server.crt", "CN=stranger", "issue")


def test_chain_in_order_is_accepted(files, authority):
    leaf = (files / "server.crt").read_bytes()
    (files / "server.crt").write_bytes(leaf + authority.pair.certificate)
    start(files)


def test_last_certificate_of_a_chain_is_cut_off(files, authority):
    leaf = (files / "server.crt").read_bytes()
    (files / "server.crt").write_bytes(leaf + authority.pair.certificate[:200])
    refused(files, "server.crt", "PEM")


def test_client_authorities_hold_a_certificate_of_no_authority(files, authority, client):
    (files / "ca.crt").write_bytes(authority.pair.certificate + client.certificate)
    refused(files, "ca.crt", "CN=client", "not a CA")


def test_client_authorities_have_all_expired(files):
    expired = Authority.create("old", not_before=utc_now() - 2 * DAY, not_after=utc_now() - DAY)
    (files / "ca.crt").write_bytes(expired.pair.certificate)
    refused(files, "ca.crt", "CN=old", "expired")


def test_expired_authority_beside_a_valid_one_is_accepted(files, authority):
    expired = Authority.create("old", not_before=utc_now() - 2 * DAY, not_after=utc_now() - DAY)
    (files / "ca.crt").write_bytes(expired.pair.certificate + authority.pair.certificate)
    start(files)
