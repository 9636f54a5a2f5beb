"""The manifest of a mirror: of which database it is, and what its files hold; knows no other mirror."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.mirror.errors import MirrorError, file_errors

MANIFEST = "manifest.json"
FORMAT = "recommendations mirror"
# Raise it whenever older programs could not read, or would misread, what is written now.
FORMAT_VERSION = 2
# UTC time of writing, and the first digits of the digest of the manifest, which holds those of the arrays.
VERSION_PATTERN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
# Thousands of categories take some hundred kilobytes; a larger file is not a manifest.
_LARGEST_MANIFEST_BYTES = 1 << 22

# Little-endian on every machine, so that a mirror may move between them.
ARRAY_TYPES = {
    "book_ids": "<i8",
    "book_category_bits": "<u8",
    "book_texts": "|u1",
    "book_offsets": "<i8",
    "reader_ids": "<i8",
    "reader_starts": "<i8",
    "event_positions": "<i4",
    "event_codes": "|u1",
    "event_times": "<i8",
    "popularity_totals": "<f8",
    "popularity_times": "<i8",
    "popularity_positions": "<i4",
    "popularity_codes": "|u1",
}


def compose(
    *,
    identity: str,
    mark: str,
    written_at: int,
    slugs: list[str],
    book_counts: list[int],
    arrays: Mapping[str, Any],
) -> dict[str, Any]:
    """Make the manifest of a mirror whose arrays were written as described, and name its version."""
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        # No two mirrors have one version, also where nothing has changed between them.
        "nonce": secrets.token_hex(8),
        "identity": identity,
        "mark": mark,
        "written_at": written_at,
        "slugs": slugs,
        "book_counts": book_counts,
        "arrays": dict(arrays),
    }
    written = datetime.fromtimestamp(written_at / 1e6, UTC)
    return {"version": f"{written:%Y%m%d-%H%M%S}-{_digest(manifest)}"} | manifest


def write_text(manifest: Mapping[str, Any]) -> str:
    """Return the text of manifest.json."""
    return json.dumps(manifest, indent=1, sort_keys=True) + "\n"


def read(directory: Path, identity: str) -> dict[str, Any]:
    """Read and check the manifest in a mirror's directory.

    Raises MirrorError when it is missing, not JSON, of another program, format version or database, altered,
    or lies in a directory of another name than its version.
    """
    path = directory / MANIFEST
    with file_errors(path), path.open("rb") as file:
        text = file.read(_LARGEST_MANIFEST_BYTES + 1)
    if len(text) > _LARGEST_MANIFEST_BYTES:
        raise MirrorError(f"{path}: is larger than {_LARGEST_MANIFEST_BYTES} bytes, so it is no manifest")
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        raise MirrorError(f"{path}: is not JSON") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise MirrorError(f'{path}: is not the manifest of a mirror (its "format" is not "{FORMAT}")')
    if manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version")
        raise MirrorError(f"{path}: has format version {found!r}, this program reads {FORMAT_VERSION}")
    version = manifest.pop("version", None)
    if not isinstance(version, str) or version.rpartition("-")[2] != _digest(manifest):
        raise MirrorError(f"{path}: was altered after it was written (its digest is not that of its version)")
    if version != directory.name:
        raise MirrorError(f"{path}: is of version {version}, not {directory.name}")
    if manifest["identity"] != identity:
        raise MirrorError(f"{path}: is of database {manifest['identity']}, not {identity}")
    if manifest["arrays"].keys() != ARRAY_TYPES.keys():
        raise MirrorError(f"{path}: holds other arrays than this program reads")
    return {"version": version} | manifest


def _digest(manifest: Mapping[str, Any]) -> str:
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]
