"""What went wrong with a request to an object store, as a ModelError of one line; sends nothing itself."""

import re

from obstore.exceptions import (
    AlreadyExistsError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from service.models.address import Address
from service.models.errors import Missing, ModelError, ModelsAway, Overtaken

_CODE = re.compile(r"<Code>([A-Za-z0-9]+)</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
# Followed by what is wrong: UnknownIssuer, Expired, NotValidForNameContext …
_UNTRUSTED = re.compile(r"InvalidCertificate\(\s*(\w+)")
_CAUSES = (
    re.compile(r'message: "([^"]+)"'),
    re.compile(r'error: "([^"]+)"'),
)
# How stores say that the key, not the request, is what they do not take; 404 is versitygw's answer to
# an unknown key, 400 Amazon's to a token that has expired.
_DENYING = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "XAdminUserNotFound",
}  # fmt: skip


class Denied(ModelError):
    """The store does not take this access key, or not for this."""


class Unsupported(ModelError):
    """The store does not know this kind of request."""


def explained(name: str, error: Exception, *, address: Address, key: str, seconds: float) -> ModelError:
    """Return the kind of error that an exception of the library is.

    `name` is the object's, `key` what messages call the caller's, `seconds` the longest wait for an answer.
    """
    text = str(error)
    code, status = _CODE.search(text), _STATUS.search(text)
    said = " ".join(found[1] for found in (status, code) if found)
    if code and code[1] == "NoSuchBucket":
        return ModelError(f"{name}: {address.endpoint} has no bucket {address.bucket}")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or (code and code[1] in _DENYING):
        return Denied(f"{name}: {address.endpoint} refuses {key} ({said})")
    if isinstance(error, FileNotFoundError):
        return Missing(f"{name}: no such object")
    if isinstance(error, PreconditionError | AlreadyExistsError) or (status and status[1] == "409"):
        return Overtaken(f"{name}: was changed by another process meanwhile")
    if (code and code[1] == "NotImplemented") or (status and status[1] == "501"):
        return Unsupported(f"{name}: {address.endpoint} does not know such a request ({said})")
    if status and status[1].startswith("4") and status[1] not in ("408", "429"):
        return ModelError(f"{name}: {address.endpoint} refuses the request ({said})")
    if untrusted := _UNTRUSTED.search(text):
        return ModelsAway(f"{name}: {address.endpoint} shows a certificate that does not do: {untrusted[1]}")
    return ModelsAway(f"{name}: {address.endpoint} does not answer: {said or _cause(text, seconds)}")


def _cause(text: str, seconds: float) -> str:
    """Find what an operator can use in the library's dump of an error."""
    if "kind: Timeout" in text:
        return f"nothing within {seconds:g} s"
    found = next((found for cause in _CAUSES if (found := cause.search(text))), None)
    return found[1].lower() if found else text.partition("\n")[0].rpartition(" - ")[2][:200]
