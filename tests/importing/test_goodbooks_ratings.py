"""The ratings of goodbooks-10k: no times, but rows in the order of time."""

import pytest

from service.domain.interactions import InteractionType
from service.importing import ImportFailed, import_interactions
from tests.domain.shop import book

HEADER = "user_id,book_id,rating\n"


@pytest.fixture
def goodbooks(database):
    database.upsert_books([book(1), book(2)])
    return database


def test_ratings_keep_the_order_of_the_file_as_time(goodbooks, write):
    path = write("ratings.csv", HEADER + "7,2,5\n8,1,3\n7,1,4\n")
    assert import_interactions(path, goodbooks, format="goodbooks").stored == 3
    log = goodbooks.interactions().by_time()
    assert log.reader_ids.tolist() == [7, 8, 7]
    assert log.book_ids.tolist() == [2, 1, 1]
    assert log.ratings.tolist() == [5, 3, 4]
    assert set(log.types.tolist()) == {InteractionType.RATING}
    assert (log.occurred_at[1:] - log.occurred_at[:-1]).tolist() == [1_000_000, 1_000_000]


def test_the_same_file_again_changes_nothing(goodbooks, write):
    path = write("ratings.csv", HEADER + "7,2,5\n8,1,3\n")
    import_interactions(path, goodbooks, format="goodbooks")
    again = import_interactions(path, goodbooks, format="goodbooks")
    assert (again.stored, again.repeated) == (0, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "7,2,5\n7,2,11\n", 'line 3, column rating: "11"'),
        (HEADER + "7,x,5\n", 'line 2, column book_id: "x"'),
        (HEADER + "7,99,5\n", 'line 2, column book_id: "99" is not in the catalogue'),
        ("user_id,book_id\n7,1\n", "required column rating is missing"),
    ],
)
def test_bad_files_are_refused_whole(goodbooks, write, content, message):
    path = write("ratings.csv", content)
    with pytest.raises(ImportFailed) as raised:
        import_interactions(path, goodbooks, format="goodbooks")
    assert message in str(raised.value)
    assert len(goodbooks.interactions()) == 0
