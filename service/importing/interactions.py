"""Importing interactions: rows that keep the domain's rules about books of the catalogue; knows no format."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from service.domain.interactions import Interaction, InteractionType, interaction_violations
from service.importing import values
from service.importing.chunks import Chunk
from service.importing.columns import INTERACTION_COLUMNS
from service.importing.plain_rows import TYPES, digest, plain_rows
from service.importing.problems import BadRow, BadValue, ImportFailed, ImportReport
from service.importing.rules import broken_rule
from service.importing.run import Progress, run
from service.importing.sink import InteractionRow, Sink, Store
from service.importing.sources import format_of

# Keeps the rules for ids while a row without one is checked: only a row that keeps all rules has a digest.
_STAND_IN = "digest"


def import_interactions(
    path: Path | str,
    store: Store,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
    now: int | None = None,
) -> ImportReport:
    """Import a file of interactions, all of it or, where it is refused, nothing.

    The catalogue has to hold their books. Rows whose interaction_id is stored already change nothing; a row
    without one gets a digest of its values, so that a file can be imported again. Parameters and errors as of
    `import_books`; `now` is the time of the import, in microseconds since 1970 UTC, by default the clock's.
    """
    path = Path(path)
    layout = format_of(path, format)
    moment = time.time_ns() // 1000 if now is None else now
    rows_into = partial(_Interactions, path, moment)
    return run(path, store, layout, INTERACTION_COLUMNS, rows_into, skip_bad=skip_bad, progress=progress)


class _Interactions:
    def __init__(self, path: Path, now: int, sink: Sink) -> None:
        self._now, self._sink = now, sink
        self._known = sink.book_ids()
        self._taken = 0
        if not self._known:
            raise ImportFailed(f"{path}: the catalogue has no books; import books first")

    def sort(self, chunk: Chunk) -> tuple[list[InteractionRow], list[BadRow]]:
        plain = plain_rows(chunk.columns, self._known, self._now)
        if plain is not None:
            return plain, []
        return _sorted_one_by_one(chunk, self._known, self._now)

    def keep(self, accepted: Sequence[InteractionRow]) -> None:
        self._taken += len(accepted)
        self._sink.add_interactions(accepted)

    def finish(self) -> tuple[int, int]:
        new = self._sink.finish_interactions()
        return new, self._taken - new


def _sorted_one_by_one(chunk: Chunk, known: set[int], now: int) -> tuple[list[InteractionRow], list[BadRow]]:
    accepted: list[InteractionRow] = []
    refused: list[BadRow] = []
    places: Sequence[int] = ()
    for number, row in enumerate(zip(*chunk.columns, strict=True)):
        try:
            accepted.append(checked_row(row, known, now))
        except BadValue as bad:
            places = places or chunk.places()
            refused.append(bad.at(places[number], chunk.unit))
    return accepted, refused


def checked_row(row: Sequence[object], known: set[int], now: int) -> InteractionRow:
    """Read one row of INTERACTION_COLUMNS and hold it against all rules; raises BadValue for the first."""
    values.require(INTERACTION_COLUMNS, row)
    reader_id, book_id, kind, rating, occurred_at, interaction_id, recommendation_id = row
    has_moment = not values.is_absent(occurred_at)
    name = values.text("interaction_id", interaction_id)
    interaction = Interaction(
        interaction_id=name or _STAND_IN,
        reader_id=values.whole_number("reader_id", reader_id),
        book_id=values.whole_number("book_id", book_id),
        type=_type(kind, has_rating=not values.is_absent(rating)),
        occurred_at=values.moment("occurred_at", occurred_at) if has_moment else now,
        rating=None if values.is_absent(rating) else values.number("rating", rating),
        recommendation_id=values.text("recommendation_id", recommendation_id),
    )
    for violation in interaction_violations(interaction, now):
        raise broken_rule(violation, interaction, INTERACTION_COLUMNS, row)
    if interaction.book_id not in known:
        raise BadValue("book_id", values.shown(book_id), "is not in the catalogue")
    return (
        name or _digest_of(interaction, has_moment),
        interaction.reader_id,
        interaction.book_id,
        int(interaction.type),
        interaction.rating,
        interaction.occurred_at,
        interaction.recommendation_id,
    )


def _type(value: object, *, has_rating: bool) -> InteractionType:
    if values.is_absent(value):
        return InteractionType.RATING if has_rating else InteractionType.READ
    name = values.text("type", value)
    if name not in TYPES:
        raise BadValue("type", values.shown(value), f"is not one of {', '.join(InteractionType.__members__)}")
    return InteractionType(TYPES[name])


def _digest_of(interaction: Interaction, has_moment: bool) -> str:
    return digest(
        interaction.reader_id,
        interaction.book_id,
        int(interaction.type),
        interaction.rating,
        interaction.occurred_at if has_moment else None,
        interaction.recommendation_id,
    )
