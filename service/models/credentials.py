"""The access key of a bucket, from a file in the form of ~/.aws/credentials; knows nothing of buckets."""

import re
from configparser import ConfigParser
from configparser import Error as NotAnIniFile
from dataclasses import dataclass, field
from pathlib import Path

from service.models.errors import ModelError, file_errors

_SECTION = "default"
# What HTTP headers may hold; anything else is a slip in the file, a line break for instance.
_SENDABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; the secret parts are left out of its repr."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def read_credentials(path: Path) -> Credentials:
    """Read the section [default]; raises ModelError that names the file and the key, never a value."""
    values = ConfigParser(interpolation=None)
    with file_errors(path):
        try:
            values.read_string(path.read_text(encoding="utf-8"))
        except (NotAnIniFile, UnicodeDecodeError):
            # The parser's own message quotes the line, which may hold the secret.
            raise ModelError(f"{path}: is not in the form of ~/.aws/credentials") from None
    if not values.has_section(_SECTION):
        raise ModelError(f"{path}: has no section [{_SECTION}]")
    section = values[_SECTION]

    def value(name: str) -> str:
        found = section.get(name, "")
        if not _SENDABLE.fullmatch(found):
            raise ModelError(f"{path}: {name} of [{_SECTION}] is missing, or not printable ASCII in one line")
        return found

    token = value("aws_session_token") if "aws_session_token" in section else None
    return Credentials(value("aws_access_key_id"), value("aws_secret_access_key"), token)
