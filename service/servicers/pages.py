"""Page tokens: opaque, signed, bound to the query they continue; knows neither requests nor rankings."""

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from functools import lru_cache
from hashlib import blake2b

from service.domain.errors import InvalidInput

# Place or id to go on from; digest of the query; digest of what the order of the list rests on.
_PAYLOAD = struct.Struct(">q8s8s")
_SIGNATURE_BYTES = 16  # 128 bits: nobody guesses one


class Pages:
    """Issues and reads page tokens; every replica that shares the key understands them."""

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(key).digest()  # of the longest length that BLAKE2 takes, whatever was given

    def issue(self, following: int, query: object, basis: str = "") -> str:
        """Make the token of the page that begins at `following`.

        `query` is anything whose repr tells queries apart; `basis` names what the order rests on (the model).
        """
        payload = _PAYLOAD.pack(following, _digest(repr(query)), _basis_digest(basis))
        return urlsafe_b64encode(payload + self._signature(payload)).decode()

    def read(self, token: str, query: object, basis: str = "") -> int:
        """Return where the page begins.

        Raise InvalidInput for a token that was not issued here or for another query, OutdatedPage where the
        list has changed its basis since.
        """
        try:
            data = urlsafe_b64decode(token)
        except (Base64Error, ValueError):
            data = b""
        payload, signature = data[: _PAYLOAD.size], data[_PAYLOAD.size :]
        if len(payload) < _PAYLOAD.size or not hmac.compare_digest(signature, self._signature(payload)):
            raise InvalidInput.of("page_token", "is not a token that this service issued")
        following, query_digest, basis_digest = _PAYLOAD.unpack(payload)
        if query_digest != _digest(repr(query)):
            raise InvalidInput.of("page_token", "was issued for a request with other fields")
        if basis_digest != _basis_digest(basis):
            raise OutdatedPage
        return int(following)

    def _signature(self, payload: bytes) -> bytes:
        # Keyed BLAKE2 is a MAC (RFC 7693) at a fraction of the cost of HMAC: every answer carries a token.
        return blake2b(payload, key=self._key, digest_size=_SIGNATURE_BYTES).digest()


class OutdatedPage(Exception):
    """The list that a token continues is no longer there: ask for the first page again."""


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


# One model answers at a time; the one before it is asked for by the tokens it left behind.
_basis_digest = lru_cache(4)(_digest)
