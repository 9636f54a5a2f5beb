"""The key that signs page tokens: of a file, or made anew; knows no token."""

from pathlib import Path
from secrets import token_bytes

from service.failure import Failure

_SHORTEST_KEY_BYTES = 32


def new_key() -> bytes:
    """Make a key that nobody else has."""
    return token_bytes(_SHORTEST_KEY_BYTES)


def key_in(path: Path) -> bytes:
    """Read the key that replicas share; raises a Failure for a file that cannot be read or is too short."""
    try:
        key = path.read_bytes()
    except OSError as error:
        raise Failure(f"RECOMMENDATIONS_PAGE_TOKEN_KEY_FILE: {path}: {error.strerror}") from None
    if len(key) < _SHORTEST_KEY_BYTES:
        raise Failure(
            f"RECOMMENDATIONS_PAGE_TOKEN_KEY_FILE: {path}: {len(key)} bytes, {_SHORTEST_KEY_BYTES} are needed"
        )
    return key
