"""Sign X.509 certificates in memory: a private certificate authority and the pairs it issues.

Knows nothing of files, nor of who the certificates are for.
"""

import datetime
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from service.failure import Failure

# Apple's clients refuse a longer life, even under a private CA.
LEAF_DAYS = 825
CA_DAYS = 3650
# Machines that talk to each other may disagree about the time by this much.
CLOCK_SKEW = datetime.timedelta(minutes=5)

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}$)(\*\.)?({_LABEL}\.)*{_LABEL}")


class CertificateError(Failure):
    """A certificate cannot be made; the message is one line that names the file or value and the rule."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


class Authority:
    """A self-signed CA certificate and the key that signs for it (EC P-256)."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey):
        self.certificate = certificate
        self._key = key

    @classmethod
    def create(
        cls,
        common_name: str = "Online Books development CA",
        *,
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
    ) -> "Authority":
        """Make a new one, valid for ten years from now unless told otherwise; times carry their zone."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(common_name)
        not_after = not_after or utc_now() + datetime.timedelta(days=CA_DAYS)
        builder = _builder(name, name, key.public_key(), key.public_key(), not_before, not_after)
        builder = builder.add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
        # It signs leaves only: no CA below it.
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def from_pair(cls, pair: Pair) -> "Authority":
        """Read one back; raises CertificateError when the two are not PEM or do not belong together."""
        try:
            certificate = x509.load_pem_x509_certificate(pair.certificate)
            key = serialization.load_pem_private_key(pair.key, None)
        except (ValueError, TypeError) as error:
            raise CertificateError("not a PEM certificate with its unencrypted PEM key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise CertificateError("the CA certificate and the CA key do not belong together")
        return cls(certificate, key)

    @property
    def pair(self) -> Pair:
        """The CA's own certificate and key."""
        return _pair(self.certificate, self._key)

    def issue(
        self,
        common_name: str,
        *,
        hosts: Sequence[str] = (),
        uris: Sequence[str] = (),
        server: bool = False,
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
    ) -> Pair:
        """Sign a new key for a server (server=True) or for a client.

        Hosts are DNS names and IP addresses. Valid for 825 days, and no longer than the CA, unless
        told otherwise. Raises CertificateError naming a host that is neither.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        not_after = not_after or min(
            self.certificate.not_valid_after_utc, utc_now() + datetime.timedelta(days=LEAF_DAYS)
        )
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(
                _name(common_name),
                self.certificate.subject,
                key.public_key(),
                self._key.public_key(),
                not_before,
                not_after,
            )
            .add_extension(_key_usage("digital_signature"), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        names = [_host(host) for host in hosts] + [x509.UniformResourceIdentifier(uri) for uri in uris]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _pair(builder.sign(self._key, hashes.SHA256()), key)


def utc_now() -> datetime.datetime:
    """Tell the time with its zone, as certificates want it."""
    return datetime.datetime.now(datetime.UTC)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    not_before: datetime.datetime | None,
    not_after: datetime.datetime,
) -> x509.CertificateBuilder:
    # One that has ended already still has to begin before its end.
    not_before = not_before or min(utc_now() - CLOCK_SKEW, not_after - datetime.timedelta(days=1))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*granted: str) -> x509.KeyUsage:
    usages = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{usage: usage in granted for usage in usages.split()})


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _DNS_NAME.fullmatch(host):
            raise CertificateError(
                f"hosts: {host!r} is neither an IP address nor a lower-case DNS name"
            ) from None
        return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
