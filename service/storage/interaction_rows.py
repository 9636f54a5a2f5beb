"""Interactions as rows of the database and back; knows nothing of connections, files or rules for them."""

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter

import numpy as np
from sqlalchemy import Connection, func, select

from service.domain.interactions import Interaction, InteractionLog
from service.storage import sqlite
from service.storage.schema import interactions

_FIELDS = tuple(field.name for field in fields(Interaction))
_values = attrgetter(*_FIELDS)

_insert = sqlite.insert(interactions).on_conflict_do_nothing().returning(interactions.c.interaction_id)

# Each column of so many rows is joined into one text by the database and parsed by numpy: for 650,000 rows
# half the time of fetching rows one by one. At this size the texts stay below a megabyte.
_ROWS_A_TEXT = 20_000
_COLUMNS = (
    ("reader_id", np.int64),
    ("book_id", np.int64),
    ("type", np.uint8),
    ("rating", np.float32),
    ("occurred_at", np.int64),
)
_TEXTS = (
    "SELECT group_concat(reader_id), group_concat(book_id), group_concat(type),"
    " group_concat(coalesce(rating, 'nan')), group_concat(occurred_at)"
    " FROM interactions WHERE sequence > ? AND sequence <= ?"
)


def record(connection: Connection, added: Sequence[Interaction]) -> list[bool]:
    """Store interactions; True for each whose id was neither stored before nor earlier in the batch."""
    if not added:
        return []
    rows = [dict(zip(_FIELDS, _values(each), strict=True)) for each in added]
    new = set(connection.execute(_insert, rows).scalars())
    answer = []
    for each in added:
        answer.append(each.interaction_id in new)
        new.discard(each.interaction_id)
    return answer


def stored(connection: Connection) -> InteractionLog:
    """Read all interactions in the order in which they were stored."""
    last = connection.execute(select(func.max(interactions.c.sequence))).scalar() or 0
    parts: list[list[np.ndarray]] = [[np.empty(0, kind)] for _, kind in _COLUMNS]
    for start in range(0, last, _ROWS_A_TEXT):
        texts = connection.exec_driver_sql(_TEXTS, (start, start + _ROWS_A_TEXT)).one()
        if texts[0] is None:  # all of them were forgotten
            continue
        for part, text, (_, kind) in zip(parts, texts, _COLUMNS, strict=True):
            part.append(np.fromstring(text, dtype=kind, sep=","))
    return InteractionLog(*(np.concatenate(part) for part in parts))
