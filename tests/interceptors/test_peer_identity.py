"""Who a caller is, read from real client certificates, and what happens to one who may not call."""

import datetime
import ipaddress

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from interceptors.chain import Chain, Method
from interceptors.errors import Errors
from interceptors.identity import ANONYMOUS, MAX_KEPT_PEERS, Identity, PeerIdentity
from interceptors.logging import AccessLog
from tests.interceptors.echo_service import BIDI, UNARY, text

SPIFFE = "spiffe://shop.example/reader-page"


class Authority:
    """A certificate authority born in memory."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self.name, self.key.public_key(), [], authority=True)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, common_name: str, names: list) -> tuple[bytes, bytes]:
        """Return key and certificate in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = self._sign(subject, key.public_key(), names)
        return (
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            certificate.public_bytes(serialization.Encoding.PEM),
        )

    def _sign(self, subject, public_key, names, *, authority=False):
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def over_tls(authority, serve):
    """Return a function: (interceptors, SANs or None for no certificate) -> a channel to a TLS server."""
    channels = []

    def connect(interceptors, names, common_name="somebody", require=True):
        pair = authority.issue(
            "server", [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        trusted = authority.pem if require else None
        credentials = grpc.ssl_server_credentials([pair], trusted, require_client_auth=require)
        ports = []
        serve(
            *interceptors,
            add_services=lambda server: ports.append(server.add_secure_port("127.0.0.1:0", credentials)),
        )
        key, certificate = (None, None) if names is None else authority.issue(common_name, names)
        channels.append(
            grpc.secure_channel(
                f"127.0.0.1:{ports[0]}", grpc.ssl_channel_credentials(authority.pem, key, certificate)
            )
        )
        return channels[-1]

    yield connect
    for channel in channels:
        channel.close()


class Door:
    """A policy that notes who knocked."""

    def __init__(self, refusal: str | None = None):
        self.refusal, self.knocks = refusal, []

    def __call__(self, peer: PeerIdentity, method: Method) -> str | None:
        self.knocks.append((peer, method))
        return self.refusal


def ask(channel, method=UNARY):
    stub = channel.stream_stream(method.full, StringValue.SerializeToString, StringValue.FromString)
    return [reply.value for reply in stub(iter([text("a")]), timeout=10)]


def test_uri_names_come_before_dns_names_and_the_common_name_is_never_used(over_tls, lines):
    door = Door()
    names = [
        x509.DNSName("client.shop.example"),
        x509.UniformResourceIdentifier(SPIFFE),
        x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
        x509.RFC822Name("admin@shop.example"),
    ]
    channel = over_tls([AccessLog(lines), Errors(), Identity(door)], names, common_name="admin")
    assert ask(channel) == ["a"]
    assert door.knocks == [(PeerIdentity(SPIFFE, (SPIFFE,), ("client.shop.example",), True), UNARY)]
    assert lines.wait()[0]["identity"] == SPIFFE


def test_a_dns_name_is_the_identity_when_there_is_no_uri(over_tls):
    door = Door()
    assert ask(
        over_tls([Errors(), Identity(door)], [x509.DNSName("a.example"), x509.DNSName("b.example")])
    ) == ["a"]
    assert door.knocks[0][0] == PeerIdentity("a.example", (), ("a.example", "b.example"), True)


def test_a_certificate_with_neither_is_authenticated_and_nameless(over_tls):
    door = Door()
    names = [x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]
    assert ask(over_tls([Errors(), Identity(door)], names, common_name="admin")) == ["a"]
    assert door.knocks[0][0] == PeerIdentity("anonymous", (), (), True)


@pytest.mark.parametrize("method", [UNARY, BIDI], ids=lambda method: method.name)
def test_a_refused_certificate_is_permission_denied_and_logged_with_its_name(over_tls, lines, method):
    door = Door("needs the role catalogue")
    channel = over_tls([AccessLog(lines), Errors(), Identity(door)], [x509.UniformResourceIdentifier(SPIFFE)])
    with pytest.raises(grpc.RpcError) as refused:
        ask(channel, method)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.details() == "needs the role catalogue"
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(refused.value).details[0].Unpack(info)
    assert info.reason == "PERMISSION_DENIED"
    line = lines.wait()[0]
    assert (line["identity"], line["code"], line["error"]) == (
        SPIFFE,
        "PermissionDenied",
        "needs the role catalogue",
    )


@pytest.mark.parametrize("tls", [True, False])
def test_a_refused_caller_without_a_certificate_is_unauthenticated(over_tls, serve, lines, tls):
    layers = [AccessLog(lines), Errors(), Identity(Door("certificates only"))]
    channel = over_tls(layers, None, require=False) if tls else serve(*layers).channel
    with pytest.raises(grpc.RpcError) as refused:
        ask(channel)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert lines.wait()[0]["identity"] is None


def test_an_anonymous_caller_passes_when_the_policy_lets_it(serve):
    door = Door()
    assert serve(Errors(), Identity(door)).unary(text("a"), timeout=10).value == "a"
    assert door.knocks == [(ANONYMOUS, UNARY)]


def test_unknown_methods_meet_the_policy_too(serve):
    echo = serve(Errors(), Identity(lambda peer, method: f"nobody may call {method.full}"))
    with pytest.raises(grpc.RpcError) as refused:
        echo.ask("/made.Up/Name")
    assert refused.value.details() == "nobody may call /unknown/unknown"


def test_a_refused_callers_message_is_not_even_parsed(serve):
    echo = serve(Errors(), Identity(Door("no")))
    with pytest.raises(grpc.RpcError) as refused:
        echo.ask(UNARY.full, b"\xff\xff")
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_changed_policy_holds_for_the_next_call_of_a_known_peer(over_tls):
    door = Door()
    channel = over_tls([Errors(), Identity(door)], [x509.DNSName("a.example")])
    assert ask(channel) == ["a"]
    door.refusal = "withdrawn"
    with pytest.raises(grpc.RpcError):
        ask(channel)


def test_identities_are_kept_by_certificate_and_within_a_bound():
    door = Door()
    guard = Identity(door)
    Chain([guard])
    for number in range(MAX_KEPT_PEERS + 1):
        guard._peer({"x509_pem_cert": [b"%d" % number], "peer_dns": [b"host-%d" % number]})
    assert len(guard._peers) == 1
    again = guard._peer({"x509_pem_cert": [b"7"], "peer_dns": [b"host-7"]})
    assert again.name == "host-7"
    assert guard._peer({"x509_pem_cert": [b"7"]}) is again
