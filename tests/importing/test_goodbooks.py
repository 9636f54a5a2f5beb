"""The goodbooks-10k layout."""

from pathlib import Path

import pytest

from service.domain.books import Book
from service.importing import ImportFailed, import_books

HEADER = (
    "book_id,goodreads_book_id,work_id,authors,original_publication_year,original_title,title,language_code,"
    "image_url\n"
)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "goodbooks-catalogue" / "books.csv"


def test_titles_series_authors_years_and_languages_are_taken_apart(database, write):
    path = write(
        "books.csv",
        HEADER
        + '21,2,77,"J.K. Rowling, Mary GrandPr\u00e9",1997.0,X,"Sorcerer\'s Stone (Harry Potter, #1)",eng,u\n'
        + "22,2,78,Homer,-720.0,,The Iliad,,u\n"
        + '23,2,79,"A",,,"Four (Divergent, #0.1 - 0.4)",en-US,u\n'
        + '24,2,80,"A",2013,,"Raising Steam (Discworld, #40, Moist von Lipwig #3 )",fre,u\n'
        + '25,2,81,"A",2013,,"The Firm (Penguin Readers, Level 5)",eng,u\n'
        + '26,2,82,"A",2013,,"His Dark Materials (His Dark Materials #1-3)",eng,u\n',
    )
    assert import_books(path, database, format="goodbooks").stored == 6
    general = ("general",)
    assert list(database.books())[9:] == [
        Book(
            21,
            "Sorcerer's Stone",
            ("J.K. Rowling", "Mary GrandPr\u00e9"),
            1997,
            "en",
            "Harry Potter",
            1.0,
            77,
            general,
        ),
        Book(22, "The Iliad", ("Homer",), -720, "", "", 0.0, 78, general),
        Book(23, "Four", ("A",), 0, "en-US", "Divergent", 0.0, 79, general),
        Book(24, "Raising Steam", ("A",), 2013, "fr", "Discworld", 40.0, 80, general),
        Book(25, "The Firm (Penguin Readers, Level 5)", ("A",), 2013, "en", "", 0.0, 81, general),
        Book(26, "His Dark Materials", ("A",), 2013, "en", "His Dark Materials", 0.0, 82, general),
    ]


def test_genres_beside_become_categories_heaviest_first(database, write):
    path = write("books.csv", HEADER + "21,,1,A,2000,,One,eng,\n22,,2,A,2000,,Two,eng,\n")
    write("genres.csv", "mystery,poetry,crime\n0.2,0.05,0.9\n0.0,0.0,0.0\n")
    import_books(path, database, format="goodbooks")
    assert [book.categories for book in database.books()][9:] == [("crime", "mystery"), ("general",)]


@pytest.mark.parametrize(
    "genres", ["mystery\n0.2\n", "mystery\n0.2\n0.1\n0.3\n", "mystery\nmuch\n", "My Stery\n1\n", ""]
)
def test_genres_that_do_not_fit_refuse_the_import(database, write, genres):
    path = write("books.csv", HEADER + "21,,1,A,2000,,One,eng,\n22,,2,A,2000,,Two,eng,\n")
    write("genres.csv", genres)
    with pytest.raises(ImportFailed, match=r"genres\.csv"):
        import_books(path, database, format="goodbooks")
    assert database.counts().books == 9


@pytest.mark.skipif(not SHARED.exists(), reason="the data set is not here")
def test_the_whole_data_set_is_imported(database):
    report = import_books(SHARED, database, format="goodbooks")
    assert (report.rows, report.skipped) == (10_000, 0)
    series = [book for book in database.books() if book.series]
    assert len(series) > 4_000
