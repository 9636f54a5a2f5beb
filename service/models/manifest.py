"""The manifest of a snapshot: what it holds and where it came from; knows nothing of other snapshots."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.domain.model import ItemModel, RankingSettings
from service.models.errors import ModelError, file_errors

MANIFEST = "manifest.json"
FORMAT = "recommendations item model"
# Raise it whenever older programs could not read, or would misread, what is written now.
FORMAT_VERSION = 3
# UTC time of training, and the first digits of the digest of the manifest, which holds those of the arrays.
VERSION_PATTERN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
# Settings and metrics are a few kilobytes; a larger file is not a manifest, and is not read into memory.
LARGEST_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """One snapshot in a list; `problem` tells in one line why it cannot be read, and is "" otherwise."""

    version: str
    is_current: bool
    problem: str = ""
    method: str = ""
    trained_at: int = 0  # microseconds since 1970 UTC
    book_count: int = 0
    neighbour_count: int = 0
    reader_count: int = 0
    interaction_count: int = 0
    size_bytes: int = 0  # of the arrays
    metrics: dict[str, float] = field(default_factory=dict)


def compose(
    model: ItemModel,
    arrays: Mapping[str, Any],
    *,
    settings: Mapping[str, Any],
    data_digest: str,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make the manifest of a model whose arrays were written as described, and name its version.

    Raises ModelError for settings or metrics that JSON cannot hold (objects, NaN, infinity).
    """
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "method": model.method,
        "trained_at": model.trained_at,
        "reader_count": model.reader_count,
        "interaction_count": model.interaction_count,
        "book_count": len(model.book_ids),
        "neighbour_count": len(model.indices),
        "catalogue_digest": arrays["book_ids"]["sha256"],
        "data_digest": data_digest,
        "ranking": asdict(model.ranking),
        "settings": dict(settings),
        "provenance": dict(provenance or {}),  # how long it took, and by which libraries
        "metrics": dict(model.metrics),
        "arrays": dict(arrays),
    }
    try:
        digest = _digest(manifest)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{MANIFEST}: settings and metrics must be finite JSON values: {error}") from None
    trained = datetime.fromtimestamp(model.trained_at / 1e6, UTC)
    return {"version": f"{trained:%Y%m%d-%H%M%S}-{digest}"} | manifest


def write_text(manifest: Mapping[str, Any]) -> str:
    """Return the text of manifest.json."""
    return json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read_text(path: Path) -> bytes:
    """Return the bytes of manifest.json; a file too large to be one is refused unread."""
    with file_errors(path), path.open("rb") as file:
        text = file.read(LARGEST_MANIFEST_BYTES + 1)
    if len(text) > LARGEST_MANIFEST_BYTES:
        raise ModelError(f"{path}: is larger than {LARGEST_MANIFEST_BYTES} bytes")
    return text


def parse(text: bytes, name: str, version: str) -> dict[str, Any]:
    """Read and check the manifest of a version; `name` is what messages call its file or object.

    Raises ModelError when it is not JSON, of another program or format version, altered, or of another
    version.
    """
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError(f"{name}: is not JSON") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelError(f'{name}: is not the manifest of a model (its "format" is not "{FORMAT}")')
    if manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version")
        raise ModelError(f"{name}: has format version {found!r}, this program reads {FORMAT_VERSION}")
    written = manifest.pop("version", None)
    try:
        digest = _digest(manifest)
    except ValueError:  # NaN and infinity, which Python's reader takes and `compose` never wrote
        digest = ""
    if not isinstance(written, str) or written.rpartition("-")[2] != digest:
        raise ModelError(f"{name}: was altered after it was written (its digest is not that of its version)")
    if written != version:
        raise ModelError(f"{name}: is of version {written}, not {version}")
    return {"version": written} | manifest


def ranking(manifest: Mapping[str, Any], name: str) -> RankingSettings:
    """Read how the model ranks; raises ModelError for settings that this program would misread."""
    written, expected = manifest.get("ranking"), {field.name: field.type for field in fields(RankingSettings)}
    if not isinstance(written, dict) or written.keys() != expected.keys():
        raise ModelError(f'{name}: "ranking" does not hold {", ".join(expected)}')
    settings = RankingSettings(**written)
    if broken := settings.broken_rule():
        raise ModelError(f'{name}: "ranking": {broken}')
    return settings


def trained_second(version: str) -> float:
    """Return when a version was trained, in seconds since 1970 UTC; -inf where its name tells no time."""
    try:
        return datetime.strptime(f"{version[:15]} UTC", "%Y%m%d-%H%M%S %Z").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return -math.inf


def summarise(manifest: Mapping[str, Any], *, is_current: bool) -> ManifestSummary:
    """Describe a snapshot from its manifest."""
    return ManifestSummary(
        version=manifest["version"],
        is_current=is_current,
        method=manifest["method"],
        trained_at=manifest["trained_at"],
        book_count=manifest["book_count"],
        neighbour_count=manifest["neighbour_count"],
        reader_count=manifest["reader_count"],
        interaction_count=manifest["interaction_count"],
        size_bytes=sum(each["bytes"] for each in manifest["arrays"].values()),
        metrics=manifest["metrics"],
    )


def _digest(manifest: Mapping[str, Any]) -> str:
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]
