"""Page tokens: opaque, signed, bound to the query they continue; knows neither requests nor rankings."""

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from service.domain.errors import InvalidInput

# Digest of the query; digest of what the order of the list rests on.
_DIGESTS = struct.Struct(">8s8s")
_SIGNATURE_BYTES = 16  # 128 bits: nobody guesses one
# Ids that fit take half the room; most shops' do.
_LARGEST_SHORT_ID = 2**32 - 1


class Pages:
    """Issues and reads page tokens; every replica that shares the key understands them.

    A token holds the ids after which its page comes: the last one of a list in the order of ids, or all that
    were shown of a list whose order may change meanwhile.
    """

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(key).digest()  # of the longest length that BLAKE2 takes, whatever was given

    def issue(self, ids: Sequence[int], query: object, basis: str = "") -> str:
        """Make the token of the page that comes after these.

        `query` is anything whose repr tells queries apart; `basis` names what the order rests on (the model).
        """
        kind = "I" if max(ids, default=0) <= _LARGEST_SHORT_ID else "Q"
        digests = _DIGESTS.pack(_digest(repr(query)), _basis_digest(basis))
        payload = kind.encode() + digests + struct.pack(f">{len(ids)}{kind}", *ids)
        return urlsafe_b64encode(payload + self._signature(payload)).decode()

    def read(self, token: str, query: object, basis: str = "") -> tuple[int, ...]:
        """Return the ids that the page comes after.

        Raise InvalidInput for a token that was not issued here or for another query, OutdatedPage where the
        list has changed its basis since.
        """
        try:
            data = urlsafe_b64decode(token)
        except (Base64Error, ValueError):
            data = b""
        payload, signature = data[:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
        if not payload or not hmac.compare_digest(signature, self._signature(payload)):
            raise InvalidInput.of("page_token", "is not a token that this service issued")
        query_digest, basis_digest = _DIGESTS.unpack_from(payload, 1)
        if query_digest != _digest(repr(query)):
            raise InvalidInput.of("page_token", "was issued for a request with other fields")
        if basis_digest != _basis_digest(basis):
            raise OutdatedPage
        kind, ids = chr(payload[0]), payload[1 + _DIGESTS.size :]
        return struct.unpack(f">{len(ids) // struct.calcsize('>' + kind)}{kind}", ids)

    def _signature(self, payload: bytes) -> bytes:
        # Keyed BLAKE2 is a MAC (RFC 7693) at a fraction of the cost of HMAC: every answer carries a token.
        return blake2b(payload, key=self._key, digest_size=_SIGNATURE_BYTES).digest()


class OutdatedPage(Exception):
    """The list that a token continues is no longer there: ask for the first page again."""


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


# One model answers at a time; the one before it is asked for by the tokens it left behind.
_basis_digest = lru_cache(4)(_digest)
