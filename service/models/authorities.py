"""The authorities that may have signed a store's certificate, from a PEM bundle; knows no buckets."""

import ssl
from pathlib import Path

from service.models.errors import ModelError, file_errors

# The bundle of every public CA is 250 kB; anything larger is not one.
_LARGEST_BYTES = 1 << 20


def read_authorities(path: Path) -> str:
    """Return the PEM text of a bundle; raises ModelError where it holds no certificate, or a broken one."""
    with file_errors(path), path.open("rb") as file:
        content = file.read(_LARGEST_BYTES + 1)
    try:
        if len(content) > _LARGEST_BYTES:
            raise ValueError
        text = content.decode("ascii")
        # obstore would say so only at the first request, and not which file it is.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ModelError(f"{path}: is not a PEM bundle of CA certificates") from None
    return text
