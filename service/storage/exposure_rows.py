"""Answers that were shown, as rows of the database; knows nothing of connections."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from service.domain.exposures import Exposure
from service.storage.schema import exposures

_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def record(connection: Connection, shown: Sequence[Exposure]) -> None:
    """Store answers; one whose recommendation_id is there already stays as it is."""
    rows = [each._asdict() | {"book_ids": json.dumps(each.book_ids)} for each in shown]
    insert = _INSERTS[connection.dialect.name](exposures).on_conflict_do_nothing()
    connection.execute(insert, rows)
