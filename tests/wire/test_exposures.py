"""What was shown and what came of it can be joined afterwards."""

import sqlite3

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.wire.batches import a_batch, an_interaction
from tests.world import wait_until

JOINED = """
SELECT strategy, model_version, book_ids, book_id, type
FROM exposures JOIN interactions USING (recommendation_id)
"""


def stored(service) -> list[tuple]:
    with sqlite3.connect(service.shop.file) as connection:
        return connection.execute("SELECT recommendation_id FROM exposures").fetchall()


def test_answers_are_joined_with_what_came_of_them(start):
    service = start(exposure_ratio=1)
    answer = service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=7, page_size=3))
    taken = answer.books[1].book_id
    service.client.recommendations.RecordInteractions(
        a_batch(an_interaction("came-of-it", book_id=taken, recommendation_id=answer.recommendation_id))
    )
    wait_until(lambda: stored(service))
    with sqlite3.connect(service.shop.file) as connection:
        ((strategy, version, book_ids, book_id, kind),) = connection.execute(JOINED).fetchall()
    assert (strategy, version) == ("personal", answer.model_version)
    assert book_ids == str([each.book_id for each in answer.books])
    assert (book_id, kind) == (taken, 4)
    assert service.metrics()['recommendations_exposures_total{result="stored"}'] == 1


def test_nothing_is_stored_where_nothing_is_sampled(start):
    service = start(exposure_ratio=0)
    for _ in range(20):
        service.client.recommendations.Recommend(pb.RecommendRequest(reader_id=7))
    service.app.__exit__()  # stores what still waits
    assert stored(service) == []


def test_old_answers_are_deleted(start, shop):
    with sqlite3.connect(shop.file) as connection:
        connection.execute("INSERT INTO exposures VALUES ('old', 1, 'personal', '', '[]')")
    service = start(shop)
    wait_until(lambda: not stored(service))
