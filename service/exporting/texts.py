"""Values as CSV and JSON Lines write them, so that importing reads the very same; knows no file."""

import json
from collections.abc import Sequence

import numpy as np


def moments(micros: Sequence[int]) -> list[str]:
    """Write moments, in microseconds since 1970 UTC, in RFC 3339 to the microsecond."""
    return np.datetime_as_string(np.array(micros, dtype="datetime64[us]"), timezone="UTC").tolist()


def joined(several: Sequence[str]) -> str:
    """Write several texts in one field: with ";" between them, or as a JSON list where that is not exact."""
    plain = ";".join(several)
    if plain.startswith("[") or not all(several) or [part.strip() for part in plain.split(";")] != [*several]:
        return json.dumps(several, ensure_ascii=False) if several else ""
    return plain
