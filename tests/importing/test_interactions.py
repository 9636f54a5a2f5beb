"""Interactions out of files: defaults, ids, and importing the same again."""

import sqlite3

import pytest

from service.domain.interactions import InteractionType
from service.importing import INTERACTION_COLUMNS, import_interactions

NOW = 1_800_000_000_000_000


def rows(tmp_path) -> list[tuple]:
    """Read what is stored, with the driver alone."""
    connection = sqlite3.connect(tmp_path / "shop.db")
    return connection.execute(
        "SELECT interaction_id, reader_id, book_id, type, rating, occurred_at, recommendation_id"
        " FROM interactions ORDER BY sequence"
    ).fetchall()


def test_every_column_is_stored_whatever_the_order(database, write, tmp_path):
    path = write(
        "all.csv",
        "recommendation_id,interaction_id,occurred_at,rating,type,book_id,reader_id\n"
        "rec-1,i-1,2026-05-01T12:00:00Z,4.5,RATING,3,17\n"
        ",i-2,2026-05-01T14:00:00.25+02:00,,view,4,9223372036854775807\n"
        ",i-3,1777636800,,WISHLIST,4,1\n",
    )
    report = import_interactions(path, database, now=NOW)
    assert (report.rows, report.stored, report.repeated, report.skipped) == (3, 3, 0, 0)
    noon = 1_777_636_800_000_000
    assert rows(tmp_path) == [
        ("i-1", 17, 3, InteractionType.RATING, 4.5, noon, "rec-1"),
        ("i-2", 9223372036854775807, 4, InteractionType.VIEW, None, noon + 250_000, ""),
        ("i-3", 1, 4, InteractionType.WISHLIST, None, noon, ""),
    ]


def test_what_is_left_out_has_the_documented_defaults(database, write, tmp_path):
    path = write("few.csv", "reader_id,book_id,rating\n1,2,\n1,3,5\n")
    import_interactions(path, database, now=NOW)
    assert [row[3:] for row in rows(tmp_path)] == [
        (InteractionType.READ, None, NOW, ""),
        (InteractionType.RATING, 5.0, NOW, ""),
    ]


def test_removals_and_books_of_no_interest_are_read_in_upper_and_lower_case(database, write):
    path = write("undone.csv", "reader_id,book_id,type\n1,2,REMOVE\n1,3,not_interested\n1,4,NOT_INTERESTED\n")
    import_interactions(path, database)
    assert database.interactions().types.tolist() == [6, 7, 7]


@pytest.mark.parametrize("with_ids", [True, False])
def test_importing_the_same_file_again_changes_nothing_and_says_so(database, write, with_ids):
    lines = [
        f"{1 + n % 50},{1 + n % 9},{n},i-{n}" if with_ids else f"{1 + n % 50},{1 + n % 9},{n}"
        for n in range(300)
    ]
    header = "reader_id,book_id,occurred_at" + (",interaction_id" if with_ids else "")
    path = write("same.csv", "\n".join([header, *lines]))
    assert import_interactions(path, database).stored == 300
    report = import_interactions(path, database)
    assert (report.stored, report.repeated) == (0, 300)
    assert database.counts().interactions == 300


def test_undated_rows_imported_on_another_day_are_still_the_same(database, write):
    path = write("undated.csv", "reader_id,book_id\n1,2\n2,3\n")
    assert import_interactions(path, database, now=NOW).stored == 2
    assert import_interactions(path, database, now=NOW + 86_400_000_000).repeated == 2


def test_equal_rows_without_ids_are_one_interaction(database, write):
    path = write("twice.csv", "reader_id,book_id,occurred_at\n1,2,100\n1,2,100\n1,2,101\n")
    report = import_interactions(path, database)
    assert (report.stored, report.repeated) == (2, 1)


def test_rows_with_and_without_ids_mix(database, write, tmp_path):
    path = write("mixed.csv", "reader_id,book_id,interaction_id\n1,2,mine\n1,3,\n")
    assert import_interactions(path, database).stored == 2
    names = [row[0] for row in rows(tmp_path)]
    assert names[0] == "mine"
    assert len(names[1]) == 24


def test_more_rows_than_a_chunk_keep_their_order_and_report_progress(database, write):
    path = write("long.csv", "reader_id,book_id\n" + "".join(f"{n},1\n" for n in range(1, 25_001)))
    calls: list[tuple[int, int]] = []
    report = import_interactions(path, database, progress=lambda done, total: calls.append((done, total)))
    assert report.stored == 25_000
    assert database.interactions().reader_ids.tolist() == list(range(1, 25_001))
    size = path.stat().st_size
    assert calls[-1] == (size, size)
    assert calls == sorted(calls)


def test_windows_line_ends_a_byte_order_mark_blank_lines_and_no_last_line_end_are_read(database, write):
    path = write("win.csv", b"\xef\xbb\xbfreader_id, book_id\r\n1,2\r\n\r\n3,4")
    assert import_interactions(path, database).stored == 2


def test_json_lines_take_numbers_as_numbers_or_texts(database, write):
    path = write(
        "some.jsonl",
        '{"reader_id": 1, "book_id": "2", "rating": 3.5}\n\n'
        ' {"book_id": 3, "reader_id": "9223372036854775807"} \r\n',
    )
    assert import_interactions(path, database).stored == 2
    assert database.interactions().ratings.tolist()[0] == 3.5


def test_whole_numbers_that_a_data_frame_made_fractions_of_are_read(database, write):
    path = write("frame.csv", "reader_id,book_id\n1.0,2.0\n")
    import_interactions(path, database)
    assert database.interactions().book_ids.tolist() == [2]


def test_interactions_need_books_first(tmp_path, write):
    from service.importing import ImportFailed
    from service.storage import Database, migrate

    url = f"sqlite:///{tmp_path / 'empty.db'}"
    migrate(url)
    path = write("few.csv", "reader_id,book_id\n1,2\n")
    with Database.open(url) as database, pytest.raises(ImportFailed, match="import books first"):
        import_interactions(path, database)


def test_columns_are_documented_in_the_order_of_the_readers():
    from service.importing import column_table

    table = column_table(INTERACTION_COLUMNS)
    assert table.splitlines()[0].startswith("reader_id          the shop's number of the reader")
    assert all(column.name in table for column in INTERACTION_COLUMNS)
