"""Three processes on one PostgreSQL, under load: what one acknowledges, the others know within moments."""

import itertools
import statistics

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.drills.lag import MOST_SECONDS, measure
from tests.world import Client, wait_until

READER = 9_000_001


def strategy(client: Client) -> int:
    return client.recommendations.Recommend(pb.RecommendRequest(reader_id=READER)).strategy


def test_replicas_follow_and_forget_within_two_seconds(scene):
    one, *others = [scene.start(name) for name in ("one", "two", "three")]
    for replica in (one, *others):
        replica.wait_ready()
    clients = [scene.client(replica) for replica in (one, *others)]
    with scene.load(one, *others) as load:
        load.until_acknowledged(500)
        lags = measure(scene, one, others, 10)
        # What a forgotten reader read goes on counting in live memory; the load's books are counted below.
        book_id = next(number for number in itertools.count(1) if number not in load.books)
        read = pb.Interaction(
            interaction_id="soon-gone", reader_id=READER, book_id=book_id, type=pb.INTERACTION_TYPE_READ
        )
        clients[0].recommendations.RecordInteractions(pb.RecordInteractionsRequest(interactions=[read]))
        for client in clients:
            wait_until(lambda client=client: strategy(client) == pb.STRATEGY_PERSONAL)
        clients[2].recommendations.ForgetReader(pb.ForgetReaderRequest(reader_id=READER))
        assert strategy(clients[2]) == pb.STRATEGY_POPULAR  # masked at once where they were forgotten
        for client in clients:
            wait_until(lambda client=client: strategy(client) == pb.STRATEGY_POPULAR)
        load.until_acknowledged(2_000)
    outcome = scene.outcome(load)
    assert (outcome.failed_reads, outcome.failed_writes) == ([], [])
    assert (outcome.lost, outcome.duplicates, outcome.miscounted) == (0, 0, 0)
    assert len(lags) == 20
    # In the middle: others may be at work on this machine. `python -m tests.drills` tells the longest.
    assert statistics.median(lags) <= MOST_SECONDS, lags
