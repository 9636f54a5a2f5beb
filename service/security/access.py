"""Decide who may call what: a file maps names of client certificates to roles, and roles open methods.

Knows nothing of grpc or of how a caller's names were verified.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from service.failure import Failure

READER_API, FEEDBACK, CATALOGUE, EXPLORER, ADMIN = "reader-api", "feedback", "catalogue", "explorer", "admin"
ROLES = (READER_API, FEEDBACK, CATALOGUE, EXPLORER, ADMIN)

_V1 = "/onlinebooks.recommendations.v1."
# The role of each method, as the contracts say. A role opens these methods and no others: admin does not
# include the rest. A method in neither table is refused to everybody.
METHOD_ROLES: Mapping[str, str] = {
    "/Recommendations/Recommend": READER_API,
    f"{_V1}RecommendationService/Recommend": READER_API,
    f"{_V1}RecommendationService/RecommendMany": READER_API,
    f"{_V1}RecommendationService/SimilarBooks": READER_API,
    f"{_V1}RecommendationService/PopularBooks": READER_API,
    f"{_V1}RecommendationService/RecordInteractions": FEEDBACK,
    f"{_V1}RecommendationService/ForgetReader": ADMIN,
    f"{_V1}RecommendationService/GetModel": READER_API,
    f"{_V1}CatalogueService/GetBook": READER_API,
    f"{_V1}CatalogueService/ListBooks": READER_API,
    f"{_V1}CatalogueService/ListCategories": READER_API,
    f"{_V1}CatalogueService/UpsertBooks": CATALOGUE,
    f"{_V1}CatalogueService/DeleteBooks": CATALOGUE,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": EXPLORER,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": EXPLORER,
}
OPEN_METHODS = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        # What the interceptors call every method that nobody serves: there is nothing to guard, and
        # UNIMPLEMENTED tells a caller more than a refusal would.
        "/unknown/unknown",
    }
)

# Callers of a shop are tens of services; certificates beyond that are looked up afresh.
MAX_CACHED_CALLERS = 1024

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_URI = re.compile(r"[a-z][a-z0-9+.-]*://[!-~]{1,2000}")
# https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md, section 2
_SPIFFE = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/(?!\.{1,2}(/|$))[a-zA-Z0-9._-]+)+")
_SPIFFE_BYTES = 2048


class AccessError(Failure):
    """A roles file that cannot be used; one line that names file, key, value and rule."""


class Peer(Protocol):
    """A caller, with the names of its verified certificate; none when it showed no certificate."""

    @property
    def uris(self) -> Sequence[str]: ...
    @property
    def dns(self) -> Sequence[str]: ...
    @property
    def authenticated(self) -> bool: ...


class Policy:
    """Which roles the names of a certificate have; immutable and thread-safe."""

    def __init__(
        self,
        uris: Mapping[str, frozenset[str]],
        dns: Mapping[str, frozenset[str]],
        anonymous: frozenset[str] = frozenset(),
    ):
        self._uris = uris
        self._dns = dns
        self._anonymous = anonymous
        self._roles = lru_cache(MAX_CACHED_CALLERS)(self._find_roles)

    @classmethod
    def load(cls, path: Path) -> "Policy":
        """Read a roles file (certs/README.md describes it); raises AccessError naming what is wrong."""
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise AccessError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise AccessError(f"{path}: not UTF-8 at byte {error.start}") from error
        except tomllib.TOMLDecodeError as error:
            raise AccessError(f"{path}: not TOML: {error}") from error
        for key in document:
            if key not in ("anonymous", "identities"):
                raise AccessError(f"{path}: {key}: unknown key; the keys are anonymous and identities")
        identities = document.get("identities", {})
        if not isinstance(identities, dict):
            raise AccessError(f"{path}: identities: {identities!r} is not a table of names with their roles")
        if not document:
            raise AccessError(f"{path}: names nobody, so nobody could call; add [identities]")
        uris: dict[str, frozenset[str]] = {}
        dns: dict[str, frozenset[str]] = {}
        for name, roles in identities.items():
            names = uris if "://" in name else dns
            _check_name(path, name)
            names[name] = _roles(path, f'identities."{name}"', roles)
        return cls(uris, dns, _roles(path, "anonymous", document.get("anonymous", [])))

    def refusal(self, peer: Peer, method: str) -> str | None:
        """Return None when the peer may call "/package.Service/Name", else a sentence that says why not."""
        if method in OPEN_METHODS:
            return None
        role = METHOD_ROLES.get(method)
        if role is None:
            return f"no role opens {method}"
        if peer.authenticated:
            if role in self._roles(tuple(peer.uris), tuple(peer.dns)):
                return None
            return f"{method} needs the role {role}, which the names of this client certificate do not have"
        if role in self._anonymous:
            return None
        return f"{method} needs the role {role}, which callers without a client certificate do not have"

    def _find_roles(self, uris: tuple[str, ...], dns: tuple[str, ...]) -> frozenset[str]:
        nothing: frozenset[str] = frozenset()
        return nothing.union(
            *(self._uris.get(uri, nothing) for uri in uris),
            # Case does not count in the DNS; the file has lower case alone.
            *(self._dns.get(name.lower(), nothing) for name in dns),
        )


def _check_name(path: Path, name: str) -> None:
    if name.startswith("spiffe:"):
        if not _SPIFFE.fullmatch(name) or len(name) > _SPIFFE_BYTES:
            raise AccessError(
                f"{path}: identities: {name!r} is not a SPIFFE id, as spiffe://trust-domain/path; "
                "there are no patterns"
            )
    elif "://" in name:
        if not _URI.fullmatch(name):
            raise AccessError(f"{path}: identities: {name!r} is not a URI of printable ASCII characters")
    elif not _DNS.fullmatch(name):
        raise AccessError(
            f"{path}: identities: {name!r} is neither a URI nor a lower-case DNS name; there are no patterns"
        )


def _roles(path: Path, key: str, value: Any) -> frozenset[str]:
    if isinstance(value, dict):
        raise AccessError(f"{path}: {key}: is a table, not a list of roles; names with dots need quotes")
    if not isinstance(value, list):
        raise AccessError(f"{path}: {key}: {value!r} is not a list of roles")
    for position, role in enumerate(value):
        if not isinstance(role, str) or role not in ROLES:
            raise AccessError(f"{path}: {key}: {role!r} is not a role; the roles are {', '.join(ROLES)}")
        if role in value[:position]:
            raise AccessError(f"{path}: {key}: {role!r} stands there twice")
    return frozenset(value)
