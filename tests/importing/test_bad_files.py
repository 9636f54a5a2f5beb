"""Files that cannot be imported are refused in one line, and nothing of them is stored."""

import os

import pytest

from service.importing import ImportFailed, import_books, import_interactions

GOOD = "reader_id,book_id\n" + "1,2\n" * 3


def refusal(path, database, **options) -> str:
    """Return the one line that a file of interactions is refused with."""
    with pytest.raises(ImportFailed) as caught:
        import_interactions(path, database, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    assert str(path) in message
    assert database.counts().interactions == 0
    return message


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty"),
        ("a.jsonl", b"", "is empty"),
        ("a.parquet", b"", "is empty"),
        ("a.csv", b"reader_id,book_id\n", "has no rows"),
        ("a.csv", b"reader_id,book_id", "has no rows"),
        ("a.jsonl", b"\n\n  \n", "has no rows"),
        ("a.csv", b"\n1,2\n", "line 1: the header names no columns"),
        ("a.csv", b"reader_id\n1\n", "required column book_id is missing"),
        ("a.csv", b"rating\n1\n", "required column reader_id, book_id is missing"),
        (
            "a.csv",
            b"reader_id,book_id,raiting\n1,2,3\n",
            'unknown column "raiting"; known are reader_id, book_id, type',
        ),
        ("a.csv", b"reader_id;book_id\n1;2\n", 'unknown column "reader_id;book_id"'),
        ("a.csv", b"reader_id,book_id,book_id\n1,2,3\n", 'column "book_id" is there twice'),
        ("a.csv", b"reader_id,book_id\n1,2\n1,\xff\n", "line 3: byte 3 of the line, 0xff, is not UTF-8"),
        ("a.csv", GOOD.encode("utf-16"), "line 1: byte 1 of the line, 0xff, is not UTF-8"),
        ("a.jsonl", b'{"reader_id":1,"book_id":2}\n\x80\n', "line 2: byte 1 of the line, 0x80, is not UTF-8"),
        (
            "a.csv",
            b'reader_id,book_id\n1,2\n1,"2\n1,2\n',
            "line 3: a quote that opens in this row is never closed",
        ),
        ("a.csv", b'reader_id,"book_id\n1,2\n', "the header is not CSV"),
        (
            "a.csv",
            b'reader_id,book_id\n1,"' + b"2,2\n" * 60_000,
            "line 2: a field is longer than 131072 characters",
        ),
        (
            "a.csv",
            b"reader_id,book_id\n1," + b"2" * 200_000,
            "line 2: a field is longer than 131072 characters",
        ),
        ("a.csv", b"reader_id,book_id\n1,2\n" + b"2" * 3_000_000, "line 3: is longer than 1048576 bytes"),
        ("a.jsonl", b" " * 3_000_000, "line 1: is longer than 1048576 bytes"),
        ("a.parquet", b"PAR1 and then something else", "is damaged, cut short or not Parquet"),
        ("a.parquet", b"PAR1" + bytes(400) + b"PAR1", "is damaged, cut short or not Parquet"),
        ("a.parquet", GOOD.encode(), "is damaged, cut short or not Parquet"),
        ("a.txt", GOOD.encode(), "its ending is none of .csv, .jsonl"),
        ("a", GOOD.encode(), "its ending is none of .csv, .jsonl"),
        ("a.csv.gz", GOOD.encode(), "is compressed (.gz); decompress it first"),
        ("a.zip", GOOD.encode(), "is compressed (.zip); decompress it first"),
    ],
)
def test_file_that_is_not_what_it_should_be_is_refused(database, write, name, content, words, skip_bad):
    assert words in refusal(write(name, content), database, skip_bad=skip_bad)


def test_missing_file_folder_and_pipe_are_refused(database, tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.csv", database)
    assert "is a folder" in refusal(tmp_path, database)
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is not a regular file" in refusal(tmp_path / "pipe.csv", database)


def test_unknown_format_is_refused(database, write):
    assert 'format "xml" is not one of' in refusal(write("a.csv", GOOD), database, format="xml")


def test_chosen_format_wins_over_the_ending(database, write):
    assert import_interactions(write("a.txt", GOOD), database, format="csv").rows == 3


def test_file_that_goes_bad_after_many_good_rows_stores_nothing(database, write):
    good = "reader_id,book_id\n" + "".join(f"{n},1\n" for n in range(1, 35_001))
    assert "line 35002" in refusal(write("late.csv", good.encode() + b"\xfe,1\n"), database)


def test_embedded_nul_is_named(database, write):
    message = refusal(write("nul.csv", b"reader_id,book_id\n1,2\n1\x00,2\n"), database)
    assert message.endswith('nul.csv, line 3, column reader_id: "1?" is not a whole number')


def test_books_file_with_a_bad_last_row_leaves_the_catalogue_as_it_was(database, write):
    before = list(database.books())
    rows = "".join(f"{n},Title {n}\n" for n in range(1, 12_000))
    with pytest.raises(ImportFailed, match=r"line 12001, column title: is missing"):
        import_books(write("books.csv", f"id,title\n{rows}12000,\n"), database)
    assert list(database.books()) == before


def test_trouble_of_the_store_passes_through_and_nothing_is_stored(database, write):
    class Full(Exception):
        pass

    class Failing:
        def __init__(self, sink):
            self.sink = sink

        def book_ids(self):
            return self.sink.book_ids()

        def add_books(self, books):
            raise Full

        def add_interactions(self, rows):
            self.sink.add_interactions(rows)
            if rows[0][1] > 10_000:
                raise Full

    class Store:
        from contextlib import contextmanager

        @contextmanager
        def bulk(self):
            with database.bulk() as sink:
                yield Failing(sink)

    path = write("long.csv", "reader_id,book_id\n" + "".join(f"{n},1\n" for n in range(1, 25_001)))
    with pytest.raises(Full):
        import_interactions(path, Store())
    assert database.counts().interactions == 0
