"""Write the certificates that development uses into a directory: a CA, a server and two clients.

Knows nothing of how a server uses them, and nothing of production's certificates.
"""

import datetime
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from service.security.authority import CA_DAYS, LEAF_DAYS, Authority, CertificateError, Pair, utc_now

__all__ = ["Authority", "CertificateError", "Pair", "make_development_certificates"]

IDENTITY_PREFIX = "spiffe://onlinebooks.example/"
DEFAULT_HOSTS = ("localhost", "127.0.0.1", "::1")
# A CA with less life left than this is replaced by a rotation, together with all that it signed.
CA_RENEWAL_DAYS = 30

_NAMES = ("ca", "server", "client", "reader")
# The two stages of a run. What is in `.making` is thrown away by the next run; what is in
# `.made` is complete and only has to be moved up, which the next run does first.
_MAKING, _MADE = ".making", ".made"


def make_development_certificates(
    directory: Path, *, hosts: Sequence[str] = DEFAULT_HOSTS, days: int = LEAF_DAYS, rotate: bool = False
) -> list[Path]:
    """Write ca, server, client and reader (.crt and .key) into the directory; return what was written.

    Keys are readable by their owner alone. Existing files are never overwritten, unless `rotate` is
    given: then server, client and reader are issued anew under the CA that is there, and the CA too
    when it ends within 30 days (its files are then among those returned, and every peer needs the
    new ca.crt). An interrupted run leaves no half of a set in view: repeat it and it is finished.
    `days` is how long the pairs are valid, never longer than the CA.
    Raises CertificateError naming the file or value and the rule.
    """
    if not 1 <= days <= CA_DAYS:
        raise CertificateError(f"days: {days} is not between 1 and {CA_DAYS}")
    if not hosts:
        raise CertificateError("hosts: empty; a server certificate names at least one host")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        completed = _move_into_place(directory)
        if completed and not rotate:
            return completed
        pairs = _rotated(directory, hosts, days) if rotate else _new(directory, hosts, days)
        making = directory / _MAKING
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        for name, pair in pairs.items():
            certificate, key = _paths(making, name)
            _write(certificate, pair.certificate, 0o644)
            _write(key, pair.key, 0o600)
        making.rename(directory / _MADE)
        return _move_into_place(directory)
    except OSError as error:
        raise CertificateError(f"{error.filename or directory}: {error.strerror}") from error


def _new(directory: Path, hosts: Sequence[str], days: int) -> dict[str, Pair]:
    for name in _NAMES:
        for path in _paths(directory, name):
            if os.path.lexists(path):
                raise CertificateError(
                    f"{path}: exists and is not overwritten; use --rotate, or name another directory"
                )
    directory.chmod(0o700)
    authority = Authority.create()
    return {"ca": authority.pair} | _issued(authority, hosts, days)


def _rotated(directory: Path, hosts: Sequence[str], days: int) -> dict[str, Pair]:
    certificate, key = _paths(directory, "ca")
    for path in (certificate, key):
        if not path.is_file():
            raise CertificateError(f"{path}: missing; a rotation issues under the CA that is there")
    try:
        authority = Authority.from_pair(Pair(certificate.read_bytes(), key.read_bytes()))
    except CertificateError as error:
        raise CertificateError(f"{certificate}, {key}: {error}") from error
    if authority.certificate.not_valid_after_utc < utc_now() + datetime.timedelta(days=CA_RENEWAL_DAYS):
        authority = Authority.create()
        return {"ca": authority.pair} | _issued(authority, hosts, days)
    return _issued(authority, hosts, days)


def _issued(authority: Authority, hosts: Sequence[str], days: int) -> dict[str, Pair]:
    until = min(authority.certificate.not_valid_after_utc, utc_now() + datetime.timedelta(days=days))
    identity = [IDENTITY_PREFIX + "recommendations"]
    return {
        "server": authority.issue(
            "recommendations", hosts=hosts, uris=identity, server=True, not_after=until
        ),
        "client": authority.issue("client", uris=[IDENTITY_PREFIX + "client"], not_after=until),
        "reader": authority.issue("reader", uris=[IDENTITY_PREFIX + "reader"], not_after=until),
    }


def _move_into_place(directory: Path) -> list[Path]:
    made = directory / _MADE
    if not made.is_dir():
        return []
    # One by one: a server that reads in between sees a pair that does not match, and waits.
    moved = [path.replace(directory / path.name) for path in sorted(made.iterdir())]
    made.rmdir()
    return moved


def _paths(directory: Path, name: str) -> tuple[Path, Path]:
    return directory / f"{name}.crt", directory / f"{name}.key"


def _write(path: Path, content: bytes, mode: int) -> None:
    # The mode is there from the first byte, and O_EXCL follows no link that somebody put in the way.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
