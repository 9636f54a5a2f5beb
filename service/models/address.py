"""Where a bucket is, as operators write it; asks nobody whether it is there."""

import re
from dataclasses import dataclass

from service.models.errors import ModelError

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^?#]*))?")
_ENDPOINT = re.compile(
    r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?|https?://\[[0-9a-f:]+\](:\d{1,5})?/?"
)
_REGION = re.compile(r"[A-Za-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a bucket is."""

    url: str  # s3://bucket or s3://bucket/prefix, without a slash at the end
    bucket: str
    prefix: str
    endpoint: str
    region: str

    @classmethod
    def parse(cls, url: str, endpoint: str, region: str) -> "Address":
        """Check what an operator wrote; no endpoint means Amazon's for the region. Raises ModelError."""
        found = _URL.fullmatch(url)
        if not found:
            raise ModelError(f"{url[:200]!r}: is not s3://bucket/prefix")
        if not _REGION.fullmatch(region):
            raise ModelError(f"{url}: {region[:80]!r} is not a region")
        endpoint = endpoint.rstrip("/") or f"https://s3.{region}.amazonaws.com"
        if not _ENDPOINT.fullmatch(endpoint):
            raise ModelError(
                f"{url}: the endpoint {endpoint[:200]!r} is not http://host:port or https://host:port"
            )
        prefix = "/".join(part for part in (found[2] or "").split("/") if part)
        return cls(f"s3://{found[1]}/{prefix}".rstrip("/"), found[1], prefix, endpoint, region)
