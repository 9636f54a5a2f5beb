"""Readers of a book that nobody else has read get books like it, whether the model knows the book or not."""

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.domain.books import Book
from service.domain.interactions import Interaction, InteractionType
from service.storage import Database, migrate
from service.training import TrainingSettings
from tests.world import Shop

# Ten of travel, ten of mystery, the latter far more read; and one of an author of the former.
TRAVEL, MYSTERY, LONELY = range(1, 11), range(11, 21), 21
READER, FIRST_READER = 1, 2


@pytest.mark.parametrize("learned_of_it", [True, False])
def test_the_only_reader_of_a_book_gets_books_like_it(start, tmp_path, learned_of_it):
    shop = Shop(tmp_path)
    migrate(shop.url)
    with Database.open(shop.url) as database:
        database.upsert_books(
            [
                Book(number, f"Travel {number}", ("Verne",), categories=("travel",))
                for number in (*TRAVEL, LONELY)
            ]
            + [Book(number, f"Mystery {number}", ("Doyle",), categories=("mystery",)) for number in MYSTERY]
        )
        shelves = [TRAVEL, MYSTERY, MYSTERY, MYSTERY]
        read = [
            (reader, book)
            for reader in range(FIRST_READER, 42)
            for book in shelves[reader % 4]
            if (reader + book) % 3
        ]
        lonely = [Interaction("lonely", READER, LONELY, InteractionType.READ, 1)]
        database.record(
            [
                Interaction(f"{reader}-{book}", reader, book, InteractionType.READ, place)
                for place, (reader, book) in enumerate(read)
            ]
        )
        if learned_of_it:
            database.record(lonely)
        shop.train(TrainingSettings(factor_count=8))
        if not learned_of_it:
            database.record(lonely)
    stub = start(shop).client.recommendations
    answer = stub.Recommend(pb.RecommendRequest(reader_id=READER, page_size=10))
    assert answer.strategy == pb.STRATEGY_PERSONAL
    assert {each.book_id for each in answer.books} == set(TRAVEL)
    assert {each.reason.because_book_id for each in answer.books} == {LONELY}
    popular = stub.PopularBooks(pb.PopularBooksRequest(page_size=3))
    assert {each.book_id for each in popular.books} <= set(MYSTERY)
