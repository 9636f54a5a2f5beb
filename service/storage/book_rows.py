"""Books as rows of the database and back; knows nothing of connections, files or rules for books."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.dialects import postgresql, sqlite

from service.domain.books import Book
from service.storage.schema import BOOK_CHANGED, books, microseconds_now

# Well under the 32,766 parameters that one statement may have.
IDS_A_STATEMENT = 10_000
# Rows fetched at a time: enough to make the fetching cheap, little enough to hold.
_ROWS_A_FETCH = 2_000

# One statement for all: an import notes a change for each of its books.
_NOTE = "INSERT INTO changes (kind, key, noted_at) SELECT :kind, {}, :noted_at FROM {}"
_NOTE_CHANGES = {
    "sqlite": text(_NOTE.format("value", "json_each(:keys)")),
    "postgresql": text(
        _NOTE.format("CAST(value AS bigint)", "json_array_elements_text(CAST(:keys AS json)) AS keys(value)")
    ),
}
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def stored(connection: Connection, ids: Sequence[int] | None = None) -> Iterator[Book]:
    """Read all books, or those of these ids, by ascending id."""
    query = select(*(books.c[name] for name in Book._fields)).order_by(books.c.id)
    if ids is not None:
        query = query.where(books.c.id.in_(ids))
    lists: dict[str, tuple[str, ...]] = {"[]": ()}

    def parsed(text: str) -> tuple[str, ...]:
        # Shelves and authors repeat: parsing each text once halves the time, and equal lists share memory.
        known = lists.get(text)
        if known is None:
            known = lists[text] = tuple(json.loads(text))
        return known

    for row in connection.execute(query, execution_options={"yield_per": _ROWS_A_FETCH}):
        book_id, title, authors, year, language, series, position, work_id, categories = row
        yield Book(
            book_id, title, parsed(authors), year, language, series, position, work_id, parsed(categories)
        )


def upsert(connection: Connection, added: Sequence[Book]) -> tuple[int, int]:
    """Store books, the last where an id is there twice; returns how many were new, how many replaced one."""
    ids = list({book.id for book in added})
    known = 0
    for start in range(0, len(ids), IDS_A_STATEMENT):
        chosen = select(books.c.id).where(books.c.id.in_(ids[start : start + IDS_A_STATEMENT]))
        known += len(connection.execute(chosen).all())
    if added:
        upserting = _INSERTS[connection.dialect.name](books)
        replaced = {name: upserting.excluded[name] for name in Book._fields if name != "id"}
        connection.execute(
            upserting.on_conflict_do_update(index_elements=[books.c.id], set_=replaced),
            [_row(book) for book in added],
        )
        note_changes(connection, ids)
    inserted = len(ids) - known
    return inserted, len(added) - inserted


def remove(connection: Connection, ids: Sequence[int]) -> int:
    """Delete the books of these ids; returns how many there were."""
    gone = 0
    for start in range(0, len(ids), IDS_A_STATEMENT):
        some = ids[start : start + IDS_A_STATEMENT]
        gone += connection.execute(delete(books).where(books.c.id.in_(some))).rowcount
    note_changes(connection, ids)
    return gone


def note_changes(connection: Connection, book_ids: Sequence[int]) -> None:
    """Tell followers that these books are not as they were."""
    if book_ids:
        connection.execute(
            _NOTE_CHANGES[connection.dialect.name],
            {"kind": BOOK_CHANGED, "keys": json.dumps(list(book_ids)), "noted_at": microseconds_now()},
        )


def _row(book: Book) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(book, name) for name in Book._fields}
    row["authors"] = json.dumps(book.authors, ensure_ascii=False)
    row["categories"] = json.dumps(book.categories)
    return row
