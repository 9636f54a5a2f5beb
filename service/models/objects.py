"""The objects below one prefix of a bucket, with bounded waits; knows nothing of what is in them.

Every request has a bound, and what goes wrong is a ModelError of one line. The files of the access key and of
the CA are read again when the store refuses the key or cannot be reached, so that both can be changed while
the service runs.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from service.models.address import Address
from service.models.authorities import read_authorities
from service.models.credentials import Credentials, read_credentials
from service.models.errors import ModelError, ModelsAway
from service.models.explaining import Denied, explained

if TYPE_CHECKING:
    from obstore.store import ClientConfig

Result = TypeVar("Result")

# A request carries a block at most: with the default of 20 s, 0.4 MB/s are enough to get a model.
BLOCK_BYTES = 8 << 20
REQUEST_SECONDS = 20.0
# One for a pointer or a manifest, some kilobytes: a start waits no longer for a store that hangs.
_LONGEST_SMALL_REQUEST_SECONDS = 5.0
# A store in reach accepts a connection within milliseconds.
_LONGEST_CONNECT_SECONDS = 5.0
# One lost packet or one busy moment is passed over; whoever asks every few seconds anyway needs no more.
_RETRIES = 2
# Blocks of one upload that are on their way, and in memory, at the same time.
_UPLOADS_AT_ONCE = 2


class Stored(NamedTuple):
    """An object that was read, and the tag of exactly this content, where the store tells one."""

    content: bytes
    tag: str | None


class Listed(NamedTuple):
    """An object in a list."""

    path: str
    size_bytes: int
    changed_at: float  # seconds since 1970 UTC


class _Files(NamedTuple):
    """What the operator's files held when they were read last."""

    credentials: Credentials | None
    authorities: str | None


class Objects:
    """Read, write, list and delete; paths are relative to the prefix."""

    def __init__(
        self,
        address: Address,
        credentials_file: Path | None,
        ca_file: Path | None = None,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        """Read the access key and the CA; no file means anonymous, public CAs. The store is not asked yet."""
        self.address = address
        self._credentials_file, self._ca_file = credentials_file, ca_file
        self._seconds = request_seconds
        self._small_seconds = min(request_seconds, _LONGEST_SMALL_REQUEST_SECONDS)
        self._use(self._read_files())

    def read(self, path: str, largest_bytes: int) -> Stored:
        """Return a small object; a larger one is refused unread."""

        def read(store: S3Store) -> Stored:
            found = obstore.get(store, path)
            if found.meta["size"] > largest_bytes:
                raise ModelError(f"{self.name(path)}: is larger than {largest_bytes} bytes")
            return Stored(bytes(found.bytes()), found.meta["e_tag"])

        return self._ask(path, read, small=True)

    def blocks(self, path: str, size_bytes: int) -> Iterator[obstore.Bytes]:
        """Yield an object block by block; refuse one of another size."""
        for start in range(0, size_bytes, BLOCK_BYTES):
            end = min(start + BLOCK_BYTES, size_bytes)

            def read(store: S3Store, wanted: tuple[int, int] = (start, end)) -> obstore.Bytes:
                found = obstore.get(store, path, options={"range": wanted})
                if found.meta["size"] != size_bytes:
                    raise ModelError(
                        f"{self.name(path)}: has {found.meta['size']} bytes, its manifest says {size_bytes}"
                    )
                return found.bytes()

            yield self._ask(path, read)

    def write(self, path: str, content: bytes) -> None:
        """Write a small object, whatever is there."""
        self._ask(path, lambda store: obstore.put(store, path, content, use_multipart=False), small=True)

    def write_if(self, path: str, content: bytes, tag: str | None) -> None:
        """Write a small object if it still has this tag, or does not exist where the tag is None.

        Raises Overtaken when it does not, Unsupported where the store knows no such condition.
        """
        mode: Any = {"e_tag": tag} if tag else "create"
        self._ask(path, lambda store: obstore.put(store, path, content, mode=mode), small=True)

    def upload(self, path: str, file: Path, sent: Callable[[int], object]) -> None:
        """Write an object from a file; nobody sees a part of it. `sent` is told the bytes of each block."""
        # The signature of each request covers the digest of its block: the store refuses damaged ones.

        def blocks() -> Iterable[bytes]:
            with file.open("rb") as source:
                while block := source.read(BLOCK_BYTES):
                    yield block
                    sent(len(block))

        def upload(store: S3Store) -> None:
            obstore.put(store, path, iter(blocks()), chunk_size=BLOCK_BYTES, max_concurrency=_UPLOADS_AT_ONCE)

        self._ask(path, upload)

    def folders(self) -> list[str]:
        """Return the first parts of the paths of objects that lie deeper."""
        return [str(each) for each in self._ask("", obstore.list_with_delimiter)["common_prefixes"]]

    def listed(self, folder: str) -> list[Listed]:
        """Return the objects of a folder."""
        found = self._ask(folder, lambda store: obstore.list(store, folder).collect())
        return [Listed(each["path"], each["size"], each["last_modified"].timestamp()) for each in found]

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects; those that are gone already are no error."""
        for path in paths:
            self._ask(path, partial(obstore.delete, paths=path))

    def name(self, path: str) -> str:
        """Return an object's name for messages."""
        return f"{self.address.url}/{path}".rstrip("/")

    def _read_files(self) -> "_Files":
        return _Files(
            read_credentials(self._credentials_file) if self._credentials_file else None,
            read_authorities(self._ca_file) if self._ca_file else None,
        )

    def _use(self, files: "_Files") -> None:
        self._files = files
        address, credentials = self.address, files.credentials
        signed: dict[str, Any] = {"config": {"skip_signature": True}}
        if credentials:
            signed = {
                "config": {"skip_signature": False},
                "credential_provider": lambda: {
                    "access_key_id": credentials.access_key_id,
                    "secret_access_key": credentials.secret_access_key,
                    "token": credentials.session_token,
                    "expires_at": None,
                },
            }
        trusted: ClientConfig = {"root_certificate": files.authorities} if files.authorities else {}
        # obstore takes what is left unsaid from variables AWS_…: where and who is said here.
        signed["config"] |= {
            "endpoint": address.endpoint,
            "aws_endpoint_url_s3": address.endpoint,
            "region": address.region,
            "virtual_hosted_style_request": False,
        }
        self._store, self._small_store = (
            S3Store(
                address.bucket,
                prefix=address.prefix or None,
                client_options={
                    **trusted,
                    "allow_http": address.endpoint.startswith("http://"),
                    "connect_timeout": timedelta(seconds=min(_LONGEST_CONNECT_SECONDS, seconds)),
                    "timeout": timedelta(seconds=seconds),
                },
                # No further try once the first has taken the whole time.
                retry_config={
                    "max_retries": _RETRIES,
                    "retry_timeout": timedelta(seconds=seconds),
                    "backoff": {
                        "init_backoff": timedelta(milliseconds=100),
                        "max_backoff": timedelta(seconds=1),
                        "base": 2,
                    },
                },
                **signed,
            )
            for seconds in (self._seconds, self._small_seconds)
        )

    def _ask(self, path: str, request: Callable[[S3Store], Result], *, small: bool = False) -> Result:
        try:
            return self._ask_once(path, request, small)
        except (Denied, ModelsAway):
            files = self._read_files()
            if files == self._files:
                raise
            self._use(files)
            return self._ask_once(path, request, small)

    def _ask_once(self, path: str, request: Callable[[S3Store], Result], small: bool) -> Result:
        try:
            return request(self._small_store if small else self._store)
        except (BaseError, FileNotFoundError) as error:
            file = self._credentials_file
            # Not chained: the library's message holds the whole answer of the store, over many lines.
            raise explained(
                self.name(path),
                error,
                address=self.address,
                key=f"the key in {file}" if file else "callers without a key",
                seconds=self._small_seconds if small else self._seconds,
            ) from None
