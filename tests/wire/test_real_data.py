"""Whole data sets of others: imported, learned from, served and asked for."""

from pathlib import Path

import numpy as np
import pytest
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as catalogue_pb
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.domain.interactions import Interaction, InteractionType
from service.importing import import_books, import_interactions
from service.storage import Database, migrate
from service.training import TrainingSettings
from service.training.evaluation import recommend
from tests.world import Shop

DATA = Path(__file__).parents[3] / "shared" / "data"
AMAZON_BOOK = DATA / "amazon-book" / "train.txt"
GOODBOOKS = DATA / "goodbooks-catalogue" / "books.csv"
# A tenth of the work of the defaults; what is shown here is that every part meets the next.
FAST = TrainingSettings(factor_count=32, iterations=2, cuts=(0.5, 0.8), candidate_count=60)


def shown(stub, reader_id: int, **asked) -> list[int]:
    answer = stub.Recommend(pb.RecommendRequest(reader_id=reader_id, page_size=20, **asked))
    return [each.book_id for each in answer.books]


def served_and_ranked(service, shop: Shop, reader_ids: list[int]) -> tuple[list[list[int]], list[list[int]]]:
    """Return what readers get over the wire, and the rankings that evaluation scores."""
    with Database.open(shop.url) as database:
        books, log = list(database.books()), database.interactions()
    model = shop.models.load()
    found = recommend(model, log, np.array(reader_ids), books=books)
    stub = service.client.recommendations
    return [shown(stub, each) for each in reader_ids], [
        model.book_ids[row[row >= 0]].tolist() for row in found
    ]


def test_on_the_sample_shop_readers_get_the_very_ranking_that_is_evaluated(service):
    with Database.open(service.shop.url) as database:
        log = database.interactions()
    looked = np.unique(log.reader_ids[np.isin(log.types, [InteractionType.VIEW, InteractionType.WISHLIST])])
    # Evaluation leaves out what was only looked at or wished for, serving does not.
    readers = [each for each in np.unique(log.reader_ids).tolist() if each not in looked][:60]
    assert len(readers) >= 30
    served, ranked = served_and_ranked(service, service.shop, [*readers, 10**9])
    assert served == ranked


@pytest.mark.skipif(not AMAZON_BOOK.exists(), reason="the benchmark's data are not beside this project")
@pytest.mark.timeout(1800)
def test_the_whole_of_amazon_book_is_served_as_it_is_evaluated(start, tmp_path):
    shop = Shop(tmp_path)
    migrate(shop.url)
    with Database.open(shop.url) as database:
        assert import_books(AMAZON_BOOK, database, format="lightgcn").rows == 24_915
        assert import_interactions(AMAZON_BOOK, database, format="lightgcn").stored == 652_514
    shop.train(FAST)
    service = start(shop)
    readers = np.random.default_rng(0).choice(70_679, 200, replace=False) + 1
    served, ranked = served_and_ranked(service, shop, readers.tolist())
    assert served == ranked
    assert all(len(each) == 20 for each in served)


@pytest.mark.skipif(
    not GOODBOOKS.exists(), reason="the catalogue of goodbooks-10k is not beside this project"
)
@pytest.mark.timeout(1800)
def test_the_whole_of_goodbooks_is_served_by_genre_and_series(start, tmp_path):
    shop = Shop(tmp_path)
    migrate(shop.url)
    with Database.open(shop.url) as database:
        assert import_books(GOODBOOKS, database, format="goodbooks").stored == 10_000
        books = list(database.books())
        # The catalogue comes without readers: these read within a genre.
        random = np.random.default_rng(0)
        shelves = [[each.id for each in books if genre in each.categories] for genre in ("fantasy", "crime")]
        database.record(
            [
                Interaction(f"{reader}-{step}", reader, int(book), InteractionType.READ, step * 10**6)
                for reader in range(1, 401)
                for step, book in enumerate(random.choice(shelves[reader % 2][:300], 15, replace=False))
            ]
        )
    shop.train(FAST)
    service = start(shop)
    first = service.client.catalogue.GetBook(catalogue_pb.GetBookRequest(book_id=1)).book
    assert (first.title, first.series, first.series_position) == ("The Hunger Games", "The Hunger Games", 1)
    assert "young-adult" in first.categories
    of_genre = {genre: set(shelf) for genre, shelf in zip((0, 1), shelves, strict=True)}
    stub = service.client.recommendations
    for reader in range(1, 21):
        mine = shown(stub, reader)
        assert sum(book in of_genre[reader % 2] for book in mine) >= 15
        crime = shown(stub, reader, categories=["crime"])
        assert crime
        assert set(crime) <= of_genre[1]
