"""A bad row is named by file, line, column, value and rule; on demand such rows are skipped and counted."""

import subprocess
import sys

import pytest

from service.importing import ImportFailed, import_books, import_interactions

NOW = 1_800_000_000_000_000
HEADER = "reader_id,book_id,type,rating,occurred_at,interaction_id\n"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("1,2,RATING,9,,", 'column rating: "9" is not between 1 and 5'),
        ("1,2,RATING,4.2,,", 'column rating: "4.2" is not between 1 and 5'),
        ("1,2,RATING,nan,,", 'column rating: "nan" is not a number'),
        ("1,2,RATING,1_0,,", 'column rating: "1_0" is not a number'),
        ("1,2,RATING,1e999,,", 'column rating: "1e999" is not between 1 and 5'),
        ("1,2,RATING,,,", "column rating: is missing; a RATING needs one"),
        ("1,2,VIEW,3,,", 'column rating: "3" goes with RATING alone, not with VIEW'),
        ("1,2,BORROWED,,,", 'column type: "BORROWED" is not one of VIEW, WISHLIST, PURCHASE, READ, RATING'),
        (",2,,,,", "column reader_id: is missing"),
        ("0,2,,,,", 'column reader_id: "0" is not between 1 and 9223372036854775807'),
        ("-1,2,,,,", 'column reader_id: "-1" is not between 1 and 9223372036854775807'),
        ("9223372036854775808,2,,,,", 'column reader_id: "9223372036854775808" is not between'),
        (f"{'9' * 5000},2,,,,", "is not a whole number"),
        ("1.5,2,,,,", 'column reader_id: "1.5" is not a whole number'),
        ("1_000,2,,,,", 'column reader_id: "1_000" is not a whole number'),
        ("\u0663,2,,,,", 'column reader_id: "\u0663" is not a whole number'),
        ("ada,2,,,,", 'column reader_id: "ada" is not a whole number'),
        ("1,77,,,,", 'column book_id: "77" is not in the catalogue'),
        ("1,2,,,yesterday,", 'column occurred_at: "yesterday" is neither RFC 3339'),
        ("1,2,,,2026-05-01T12:00:00,", 'column occurred_at: "2026-05-01T12:00:00" has no time zone'),
        (
            "1,2,,,2099-01-01T00:00:00Z,",
            'column occurred_at: "2099-01-01T00:00:00Z" is more than 5 minutes in the',
        ),
        ("1,2,,,1777636800000,", 'column occurred_at: "1777636800000" is more than 5 minutes in the future'),
        ("1,2,,,-1,", 'column occurred_at: "-1" is before 1970'),
        ("1,2,,,,a b", 'column interaction_id: "a b" is not 1 to 64 printable ASCII characters'),
        (f"1,2,,,,{'x' * 65}", "column interaction_id: "),
        ("1,2", "2 fields are not the 6 that the header names"),
        ("1,2,,,,,,", "8 fields are not the 6 that the header names"),
        ('1,2,,,,"a"b', "has a quote inside a field"),
        ("1,2,,\r,,", "has a carriage return outside quotes"),
    ],
)
def test_bad_csv_row_is_named_and_nothing_is_stored(database, write, row, complaint):
    path = write("ratings.csv", f"{HEADER}1,2,,,,\n\n3,4,,,,\n{row}\n1,1,,,,\n")
    with pytest.raises(ImportFailed) as caught:
        import_interactions(path, database, now=NOW)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 5")
    assert complaint in message
    assert "\n" not in message
    assert len(message) < 500
    assert database.counts().interactions == 0

    report = import_interactions(path, database, now=NOW, skip_bad=True)
    assert (report.rows, report.stored, report.skipped) == (4, 3, 1)
    assert f"{path}, {report.problems[0]}" == message
    assert database.interactions().reader_ids.tolist() == [1, 3, 1]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"reader_id": 1', '"{?reader_id?: 1" is not a JSON object'),
        ("[1, 2]", '"[1, 2]" is not a JSON object'),
        ("17", '"17" is not a JSON object'),
        ('{"reader_id": 1, "book_id": 2} {}', "is not a JSON object"),
        ('{"reader_id": 1, "book_id": 2},{"reader_id": 1, "book_id": 2}', "is not a JSON object"),
        ('{"reader_id": 1, "book_id": 2},', "is not a JSON object"),
        ('{"reader_id": 1, "book_id": 2}]', "is not a JSON object"),
        ('{"reader_id": "}\n{"}', "is not a JSON object"),
        ('{"reader_id": 1, "type": [\n{"book_id": 2}]}', "is not a JSON object"),
        ("[" * 100_000, "is not a JSON object"),
        ('{"reader_id": 1, "book_id": 2, "raiting": 3}', '"raiting" is not a known column'),
        ('{"reader_id": 1}', "column book_id: is missing"),
        ('{"reader_id": null, "book_id": 2}', "column reader_id: is missing"),
        ('{"reader_id": true, "book_id": 2}', "column reader_id: True is not a whole number"),
        ('{"reader_id": 1.5, "book_id": 2}', "column reader_id: 1.5 is not a whole number"),
        ('{"reader_id": {"a": 1}, "book_id": 2}', "column reader_id: "),
        ('{"reader_id": 1' + "0" * 4000 + ', "book_id": 2}', "column reader_id: "),
        ('{"reader_id": 1, "book_id": 2, "rating": true}', "column rating: True is not a number"),
        ('{"reader_id": 1, "book_id": 2, "rating": NaN}', "column rating: nan is not between 1 and 5"),
        ('{"reader_id": 1, "book_id": 2, "type": 4}', "column type: 4 is not one of VIEW"),
        ('{"reader_id": 1, "book_id": 2, "type": ["READ"]}', "column type: "),
        (
            '{"reader_id": 1, "book_id": 2, "occurred_at": Infinity}',
            "column occurred_at: inf is not a moment in time",
        ),
        (
            '{"reader_id": 1, "book_id": 2, "interaction_id": "\\ud800"}',
            'column interaction_id: "?" is not 1 to 64',
        ),
        (
            '{"reader_id": 1, "book_id": 2, "interaction_id": false}',
            "column interaction_id: False is not a text",
        ),
    ],
)
def test_bad_json_line_is_named_and_nothing_is_stored(database, write, line, complaint):
    path = write("some.jsonl", f'{{"reader_id": 1, "book_id": 2}}\n{line}\n')
    with pytest.raises(ImportFailed) as caught:
        import_interactions(path, database, now=NOW)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2")
    assert complaint in message.replace('\\"', "?").replace('{"r', "{?r").replace('d":', "d?:")
    assert len(message) < 500
    assert database.counts().interactions == 0


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("10,,,", "column title: is missing"),
        ("10,  ,,", 'column title: "  " is empty'),
        (f"10,{'x' * 501},,", "is longer than 500 characters"),
        ("10,Emma,A;;B,", 'column authors: "" is empty'),
        (f"10,Emma,{';'.join('abcdefghijklmnopqrstu')},", "column authors: 21 authors are more than 20"),
        ("10,Emma,,Young Adult", 'column categories: "Young Adult" is not a slug'),
        ("10,Emma,,x;x", 'column categories: "x" is there twice'),
        ("5,Emma,,", "column id: 5 is there twice"),
    ],
)
def test_bad_book_is_named_and_nothing_is_stored(database, write, row, complaint):
    before = list(database.books())
    path = write("books.csv", f"id,title,authors,categories\n5,Good,,\n{row}\n")
    with pytest.raises(ImportFailed) as caught:
        import_books(path, database)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 3")
    assert complaint in message
    assert list(database.books()) == before


def test_skipped_rows_are_counted_by_rule_and_the_first_are_listed(database, write):
    lines = ["1,2,4"] * 30 + ["1,2,9"] * 25 + ["1,2"] * 3 + ["0,2,1", "1,77,1"]
    path = write("ratings.csv", "\n".join(["reader_id,book_id,rating", *lines]))
    report = import_interactions(path, database, skip_bad=True)
    assert (report.rows, report.stored, report.repeated, report.skipped) == (60, 1, 29, 30)
    assert [problem.place for problem in report.problems] == list(range(32, 52))
    assert report.skipped_by_rule == {
        "column rating: is not between 1 and 5 in steps of a half": 25,
        "fields are not the 3 that the header names": 3,
        "column reader_id: is not between 1 and 9223372036854775807": 1,
        "column book_id: is not in the catalogue": 1,
    }


def test_the_first_bad_row_is_named_whatever_is_wrong_with_it(database, write):
    path = write("two.csv", "reader_id,book_id\n1,2\n1,77\n1\n")
    with pytest.raises(ImportFailed, match="line 3, column book_id"):
        import_interactions(path, database)


MEASURED = """
import resource, sys
from service.importing import import_interactions
from service.storage import Database

with Database.open(sys.argv[1]) as database:
    peaks = []
    for file in sys.argv[2:]:
        report = import_interactions(file, database, skip_bad=True)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(report.skipped, len(report.problems), peaks[1] - peaks[0])
"""


def test_very_many_bad_rows_take_no_more_memory_than_few(database, write, tmp_path):
    few = write("few.csv", "reader_id,book_id\n" + "x,2\n" * 20_000)
    many = write("many.csv", "reader_id,book_id\n" + "x,2\n" * 120_000)
    arguments = [sys.executable, "-c", MEASURED, f"sqlite:///{tmp_path / 'shop.db'}", few, many]
    said = subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=60).stdout
    skipped, listed, more_kibibytes = map(int, said.split())
    assert (skipped, listed) == (120_000, 20)
    assert more_kibibytes < 10_000, "100,000 rows held would take 30 MB"
