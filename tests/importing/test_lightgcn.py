"""The layout of LightGCN's benchmarks: numbers become ids, the order of a line becomes time."""

from pathlib import Path

import pytest

from service.importing import ImportFailed, import_books, import_interactions

SHARED = Path(__file__).parents[3] / "shared" / "data" / "amazon-book" / "train.txt"


def rows(database) -> list[tuple[int, int]]:
    log = database.interactions().by_time()
    return sorted(zip(log.reader_ids.tolist(), log.occurred_at.tolist(), log.book_ids.tolist(), strict=True))


def test_a_catalogue_is_made_of_the_numbers_each_once(database, write):
    path = write("train.txt", "0 20 11\n1 11 30\n2\n")
    assert import_books(path, database, format="lightgcn").stored == 3
    books = [(book.id, book.title) for book in database.books() if book.id > 9]
    assert books == [(12, "Book 11"), (21, "Book 20"), (31, "Book 30")]


def test_the_order_of_a_line_is_kept_as_time(database, write):
    path = write("train.txt", "7 5 1 3\n0 2\n\n8\n9 1")
    assert import_interactions(path, database, format="lightgcn").stored == 5
    assert [(reader, book) for reader, _, book in rows(database)] == [(1, 3), (8, 6), (8, 2), (8, 4), (10, 2)]


def test_the_same_file_again_changes_nothing(database, write):
    path = write("train.txt", "0 1 2\n")
    import_interactions(path, database, format="lightgcn")
    again = import_interactions(path, database, format="lightgcn")
    assert (again.stored, again.repeated) == (0, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 1\n1 2 x 3\n", 'line 2, column book_id: "x" is not a whole number'),
        ("0 1\n-4 2\n", 'line 2, column reader_id: "-4"'),
        ("0 1.5\n", 'line 1, column book_id: "1.5" is not a whole number'),
        ("0 77\n", "line 1, column book_id: 78 is not in the catalogue"),
        ("0\n1\n", "has no rows"),
        ("", "is empty"),
    ],
)
def test_bad_files_are_refused_whole(database, write, content, message):
    path = write("train.txt", content)
    with pytest.raises(ImportFailed) as raised:
        import_interactions(path, database, format="lightgcn")
    assert message in str(raised.value)
    assert len(database.interactions()) == 0


@pytest.mark.skipif(not SHARED.exists(), reason="the benchmark's data are not beside this project")
@pytest.mark.timeout(900)
def test_the_whole_of_amazon_book_is_imported(database):
    assert import_books(SHARED, database, format="lightgcn").rows == 24_915
    assert import_interactions(SHARED, database, format="lightgcn").stored == 652_514
