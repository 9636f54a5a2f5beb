"""Read and check the PEM files that a TLS server needs: certificate chain, key, CA bundle of its clients.

Knows nothing of grpc; it refuses what grpc would fail on in silence, at every handshake.
"""

import hashlib
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from service.failure import Failure

# A chain is some 5 kB, the bundle of every public CA 250 kB; anything larger is not a PEM file of these.
MAX_FILE_BYTES = 1024 * 1024

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


class TlsError(Failure):
    """A certificate, key or CA bundle that cannot be served; one line that names the file and the rule."""


class TlsFiles(NamedTuple):
    """Where the PEM files are; client_ca None: clients need no certificate."""

    certificate: Path
    key: Path
    client_ca: Path | None

    def read(self) -> "TlsContents":
        """Read them all as they are now; raises TlsError naming one that cannot be read."""
        client_ca = None if self.client_ca is None else _read(self.client_ca)
        return TlsContents(_read(self.certificate), _read(self.key), client_ca)


class TlsContents(NamedTuple):
    """What the files hold, unchecked."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None

    @property
    def digest(self) -> str:
        """Tell one content from another without keeping a second copy of the key."""
        return " ".join(hashlib.sha256(content or b"").hexdigest() for content in self)


class Expiry(NamedTuple):
    """When what was checked ends, in Unix seconds; of a bundle, the first certificate that ends."""

    certificate: float
    client_ca: float | None


def check(files: TlsFiles, contents: TlsContents) -> Expiry:
    """Check contents for use by a server now; the paths are for the messages.

    Raises TlsError naming the file and the rule it breaks.
    """
    now = datetime.now(UTC)
    leaf = _check_chain(files.certificate, contents.certificate, now)
    _check_key(files.key, contents.key, files.certificate, leaf)
    certificate_ends = leaf.not_valid_after_utc.timestamp()
    if files.client_ca is None:
        return Expiry(certificate_ends, None)
    return Expiry(certificate_ends, _check_bundle(files.client_ca, contents.client_ca or b"", now))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TlsError(f"{path}: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise TlsError(f"{path}: larger than {MAX_FILE_BYTES} bytes, so not a PEM file of certificates")
    return content


def _certificates(path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError:
        raise TlsError(f"{path}: holds no valid PEM certificate") from None
    # A block whose end is not written yet would be left out without a word.
    if len(certificates) != content.count(b"-----BEGIN CERTIFICATE-----"):
        raise TlsError(f"{path}: holds an incomplete PEM certificate")
    return certificates


def _check_chain(path: Path, content: bytes, now: datetime) -> x509.Certificate:
    chain = _certificates(path, content)
    leaf = chain[0]
    _check_time(path, leaf, now)
    for lower, upper in pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            raise TlsError(
                f"{path}: {_subject(lower)} is not issued by the certificate that follows it, "
                f"{_subject(upper)}; the server's own comes first, then each one's issuer"
            ) from None
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    if purposes is not None and ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        raise TlsError(f"{path}: {_subject(leaf)} is not for servers (extended key usage without serverAuth)")
    return leaf


def _check_key(path: Path, content: bytes, certificate: Path, leaf: x509.Certificate) -> None:
    try:
        key = load_pem_private_key(content, None)
    except TypeError:
        raise TlsError(f"{path}: the key is encrypted; an unencrypted one is needed") from None
    except (ValueError, UnsupportedAlgorithm):
        raise TlsError(f"{path}: holds no valid PEM private key") from None
    # Measured with grpcio 1.85.1: handshakes with P-521 and Ed25519 keys fail.
    p256_or_p384 = isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size in (256, 384)
    if not p256_or_p384 and not (isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048):
        raise TlsError(f"{path}: the key is neither EC P-256 or P-384 nor RSA of 2048 bits or more")
    if key.public_key() != leaf.public_key():
        raise TlsError(f"{path}: the key does not belong to the certificate in {certificate}")


def _check_bundle(path: Path, content: bytes, now: datetime) -> float:
    bundle = _certificates(path, content)
    for authority in bundle:
        constraints = _extension(authority, x509.BasicConstraints)
        # Roots of X.509 version 1 have no extensions to say so with.
        is_ca = constraints.ca if constraints is not None else authority.subject == authority.issuer
        if not is_ca:
            raise TlsError(f"{path}: {_subject(authority)} is not a CA certificate")
    # One that ended may stay in a bundle beside its successor; one that is valid there must be.
    ends = [
        one.not_valid_after_utc for one in bundle if one.not_valid_before_utc <= now < one.not_valid_after_utc
    ]
    if not ends:
        _check_time(path, bundle[0], now)
    return min(ends).timestamp()


def _check_time(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= ends:
        raise TlsError(f"{path}: {_subject(certificate)} expired {ends:%Y-%m-%d %H:%M:%S} UTC")
    if now < begins:
        raise TlsError(f"{path}: {_subject(certificate)} is not valid before {begins:%Y-%m-%d %H:%M:%S} UTC")


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"
