"""Parquet: types that fit and types that do not."""

import secrets
from datetime import UTC, datetime

import pytest

from service.importing import INTERACTION_COLUMNS, ImportFailed, import_books, import_interactions

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
from service.importing.parquet_files import read_parquet  # noqa: E402 - it needs pyarrow


def written(tmp_path, columns, types=None):
    """Write columns to a Parquet file."""
    arrays = {name: pa.array(values, (types or {}).get(name)) for name, values in columns.items()}
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(arrays), path)
    return path


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_any_unit_are_read_as_utc(database, tmp_path, unit):
    moment = datetime(2026, 5, 1, 12, tzinfo=UTC)
    path = written(
        tmp_path,
        {"reader_id": [1, 2], "book_id": [2, 3], "occurred_at": [moment, None]},
        {"occurred_at": pa.timestamp(unit, tz="Europe/Paris"), "reader_id": pa.int32()},
    )
    import_interactions(path, database, now=1_800_000_000_000_000)
    assert database.interactions().occurred_at.tolist() == [1_777_636_800_000_000, 1_800_000_000_000_000]


def test_lists_dictionaries_and_gaps_are_read(database, tmp_path):
    path = written(
        tmp_path,
        {"id": [10, 11], "title": ["A", "B"], "categories": [["x", "y"], None], "year": [None, 1900.0]},
        {"title": pa.dictionary(pa.int8(), pa.string())},
    )
    import_books(path, database)
    first, second = list(database.books())[-2:]
    assert (first.title, first.categories, first.year) == ("A", ("x", "y"), 0)
    assert (second.title, second.categories, second.year) == ("B", ("general",), 1900)


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("reader_id", [True], "column reader_id: type bool is not a whole number"),
        ("reader_id", [[1]], "column reader_id: type list"),
        ("rating", [b"5"], "column rating: type binary is not a number"),
        ("occurred_at", [datetime(2026, 5, 1)], "column occurred_at: its timestamps have no time zone"),
        ("type", [4.0], "column type: type double is not a text"),
        ("raiting", [4.0], 'unknown column "raiting"'),
    ],
)
def test_type_that_does_not_fit_its_column_is_refused(database, tmp_path, column, values, words):
    columns = {"reader_id": [1], "book_id": [2]} | {column: values}
    with pytest.raises(ImportFailed, match=words.replace("(", r"\(")):
        import_interactions(written(tmp_path, columns), database)


def test_bad_row_is_named_by_its_number(database, tmp_path):
    path = written(tmp_path, {"reader_id": [1] * 20_000, "book_id": [2] * 19_999 + [77]})
    with pytest.raises(ImportFailed, match="row 20000, column book_id: 77 is not in the catalogue"):
        import_interactions(path, database)


def test_file_cut_short_or_scrambled_is_refused_and_nothing_is_stored(database, tmp_path):
    path = written(
        tmp_path, {"reader_id": list(range(1, 50_001)), "book_id": [1 + n % 9 for n in range(50_000)]}
    )
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (content[:middle], content[:200] + bytes(5_000) + content[5_200:]):
        path.write_bytes(damaged)
        with pytest.raises(ImportFailed) as caught:
            import_interactions(path, database)
        assert "\n" not in str(caught.value)
        assert database.counts().interactions == 0


def test_file_without_rows_is_refused(database, tmp_path):
    path = written(
        tmp_path, {"reader_id": [], "book_id": []}, {"reader_id": pa.int64(), "book_id": pa.int64()}
    )
    with pytest.raises(ImportFailed, match="has no rows"):
        import_interactions(path, database)


def test_what_was_read_of_a_long_file_is_not_held(tmp_path):
    rows, groups = 10_000, 20
    path = tmp_path / "long.parquet"
    names = pa.array([secrets.token_hex(16) for _ in range(rows)])
    lot = pa.table({"reader_id": range(rows), "book_id": range(rows), "interaction_id": names})
    with pq.ParquetWriter(path, lot.schema, compression="none", use_dictionary=False) as writer:
        for _ in range(groups):
            writer.write_table(lot)
    del lot, names
    before, most = pa.total_allocated_bytes(), 0
    for chunk in read_parquet(path, INTERACTION_COLUMNS):
        assert len(chunk.columns[0]) == rows
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < path.stat().st_size / 4
