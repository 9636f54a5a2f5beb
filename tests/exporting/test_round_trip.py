"""Import, export, import is the identity: every field, exactly, in order, in every format."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.books import Book, book_violations
from service.domain.interactions import InteractionType
from service.exporting import export_books, export_interactions
from service.importing import BOOK_COLUMNS, INTERACTION_COLUMNS, import_books, import_interactions
from service.storage.exported_rows import interaction_rows

FORMATS = ("csv", "jsonl", "parquet")

# Control characters and line separators break the domain's rules; quotes, blanks and the like do not.
characters = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")) | st.sampled_from(
    "\";,[]\\'= 0\U0001f4da"
)
texts = st.text(characters, max_size=12)
names = texts.filter(str.strip) | st.sampled_from(
    ["007", "A; B", '["x"]', ' "quoted" ', "null", "[1, 2]", "1e5"]
)
slugs = st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,3})?", fullmatch=True)
books = st.builds(
    Book,
    id=st.integers(1, 2**63 - 1),
    title=names,
    authors=st.lists(names, max_size=4).map(tuple),
    year=st.integers(-3000, 2100),
    language=st.sampled_from(["", "en", "pt-BR"]),
    series=texts,
    series_position=st.floats(0, 10_000),
    work_id=st.integers(0, 2**63 - 1),
    categories=st.lists(slugs, min_size=1, max_size=3, unique=True).map(tuple),
)
identifiers = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64) | (
    st.sampled_from(["null", "None", "\\.", "\\N", '"', '""', "],[", "007", "1e5", "true", ";", "'"])
)
half_steps = st.integers(2, 10).map(lambda steps: steps / 2)
plain_types = st.sampled_from([kind for kind in InteractionType if kind != InteractionType.RATING])
interactions = st.tuples(
    identifiers,
    st.integers(1, 2**63 - 1),
    st.integers(0, 4),  # which of the books
    st.tuples(st.just(InteractionType.RATING), half_steps) | st.tuples(plain_types, st.none()),
    st.integers(0, 1_790_000_000_000_000),
    st.just("") | identifiers,
)
shops = st.tuples(
    st.lists(books, min_size=1, max_size=5, unique_by=lambda book: book.id),
    st.lists(interactions, min_size=1, max_size=8, unique_by=lambda each: each[0]),
)


def content(database) -> tuple[list[Book], list[tuple]]:
    """Return all that is stored."""
    with database.reading() as reading:
        return list(reading.books()), [row for lot in interaction_rows(reading) for row in lot]


def exported(database, folder: Path, layout: str) -> tuple[Path, Path]:
    """Export everything; returns the two files."""
    paths = folder / f"books.{layout}", folder / f"interactions.{layout}"
    with database.reading() as reading:
        export_books(reading.books(), paths[0], format=layout, force=True)
        export_interactions(interaction_rows(reading), paths[1], format=layout, force=True)
    return paths


@pytest.mark.parametrize("layout", FORMATS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shops)
def test_what_is_exported_and_imported_again_is_the_same(emptied, layout, shop):
    catalogue, events = shop
    assert not [violation for book in catalogue for violation in book_violations(book)]
    catalogue = sorted(catalogue, key=lambda book: book.id)
    rows = [
        (name, reader, catalogue[place % len(catalogue)].id, int(kind), rating, moment, origin)
        for name, reader, place, (kind, rating), moment, origin in events
    ]
    emptied.empty()
    emptied.database.upsert_books(catalogue)
    with emptied.database.bulk() as bulk:
        bulk.add_interactions(rows)
    assert content(emptied.database) == (catalogue, rows)

    with tempfile.TemporaryDirectory() as name:
        files = exported(emptied.database, Path(name), layout)
        first = [path.read_bytes() for path in files]
        emptied.empty()
        import_books(files[0], emptied.database)
        report = import_interactions(files[1], emptied.database)
        assert (report.stored, report.repeated, report.skipped) == (len(rows), 0, 0)
        assert content(emptied.database) == (catalogue, rows)
        assert [path.read_bytes() for path in exported(emptied.database, Path(name), layout)] == first
        assert import_interactions(files[1], emptied.database).repeated == len(rows)
    assert content(emptied.database) == (catalogue, rows)


@pytest.mark.parametrize("layout", FORMATS)
def test_more_rows_than_a_lot_keep_their_order(emptied, folder, layout):
    emptied.empty()
    emptied.database.upsert_books([Book(id=n, title=f"Book {n}", categories=("x",)) for n in range(1, 1_502)])
    rows = [(f"i{n * 7919 % 25_000}", 25_000 - n, 1 + n % 1_501, 4, None, n, "") for n in range(25_000)]
    with emptied.database.bulk() as bulk:
        bulk.add_interactions(rows)
    before = content(emptied.database)
    books_file, interactions_file = exported(emptied.database, folder, layout)
    emptied.empty()
    assert import_books(books_file, emptied.database).stored == 1_501
    assert import_interactions(interactions_file, emptied.database).stored == 25_000
    assert content(emptied.database) == before
    assert before[1] == rows


@pytest.mark.parametrize("layout", FORMATS)
def test_an_empty_database_gives_files_without_rows(emptied, folder, layout):
    emptied.empty()
    for path in exported(emptied.database, folder, layout):
        if layout == "parquet":
            import pyarrow.parquet as pq

            assert pq.read_table(path).num_rows == 0
        else:
            assert len(path.read_text().splitlines()) == (1 if layout == "csv" else 0)


def test_the_columns_are_those_that_importing_reads(emptied, folder):
    emptied.empty()
    for path, columns in zip(
        exported(emptied.database, folder, "csv"), (BOOK_COLUMNS, INTERACTION_COLUMNS), strict=True
    ):
        assert path.read_text().rstrip("\n").split(",") == [column.name for column in columns]


def test_a_file_has_the_state_of_one_moment(emptied, folder):
    emptied.empty()
    emptied.database.upsert_books([Book(id=1, title="One", categories=("x",))])
    with emptied.database.reading() as reading:
        assert reading.interaction_count() == 0
        with emptied.database.bulk() as bulk:
            bulk.add_interactions([("later", 1, 1, 4, None, 1, "")])
        assert export_interactions(interaction_rows(reading), folder / "a.csv", format="csv") == 0
    with emptied.database.reading() as reading:
        assert export_interactions(interaction_rows(reading), folder / "b.csv", format="csv") == 1
