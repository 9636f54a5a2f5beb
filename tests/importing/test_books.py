"""Books out of files: lists, defaults, replacing."""

import json

from service.domain.books import Book
from service.importing import import_books

HEADER = "id,title,authors,year,language,series,series_position,work_id,categories\n"


def test_every_column_is_read(database, write):
    path = write(
        "books.csv",
        HEADER
        + '10,"Carmilla, ""a tale""",J. Sheridan Le Fanu; N.N.,1872,en-GB,In a Glass Darkly,5,99,'
        + "ghost-stories;classics\n",
    )
    report = import_books(path, database)
    assert (report.stored, report.repeated) == (1, 0)
    assert list(database.books())[-1] == Book(
        10,
        'Carmilla, "a tale"',
        ("J. Sheridan Le Fanu", "N.N."),
        1872,
        "en-GB",
        "In a Glass Darkly",
        5.0,
        99,
        ("ghost-stories", "classics"),
    )


def test_id_and_title_are_enough(database, write):
    import_books(write("few.csv", "id,title\n10,Emma\n"), database)
    assert list(database.books())[-1] == Book(10, "Emma", categories=("general",))


def test_known_books_are_replaced_and_counted(database, write):
    report = import_books(write("more.csv", "id,title\n1,Emma\n10,Persuasion\n"), database)
    assert (report.stored, report.repeated) == (1, 1)
    assert next(database.books()).title == "Emma"


def test_json_lists_and_texts_with_semicolons_mean_the_same(database, write):
    lists = {"id": 10, "title": "A", "authors": ["B", "C"], "categories": ["x", "y"], "year": -400}
    texts = {"id": 11, "title": "A", "authors": "B;C", "categories": "x; y", "year": "-400"}
    path = write("books.jsonl", "\n".join(json.dumps(row) for row in (lists, texts)))
    import_books(path, database)
    first, second = list(database.books())[-2:]
    assert (first.authors, first.categories, first.year) == (second.authors, second.categories, second.year)


def test_fields_with_line_ends_keep_the_count_of_lines(database, write):
    """A title may not have a line end, and the error names the line on which its row begins."""
    import pytest

    from service.importing import ImportFailed

    path = write("books.csv", 'id,title\n10,Emma\n11,"Two\nlines"\n12,Persuasion\n')
    with pytest.raises(ImportFailed, match=r'books\.csv, line 3, column title: "Two\?lines" has control'):
        import_books(path, database)
    report = import_books(path, database, skip_bad=True)
    assert (report.stored, report.skipped) == (2, 1)


def test_a_field_that_is_a_json_list_is_read_as_one_and_one_that_only_looks_so_is_a_text(database, write):
    rows = ['10,A,"[""Tom; Dick"", ""Harry""]"', "11,A,[sic] N.N.", '12,A,"[""B"",""C""]"']
    path = write("books.csv", "\n".join(["id,title,authors", *rows]))
    import_books(path, database)
    assert [book.authors for book in list(database.books())[-3:]] == [
        ("Tom; Dick", "Harry"),
        ("[sic] N.N.",),
        ("B", "C"),
    ]
