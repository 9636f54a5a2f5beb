"""Workers that keep a journal each while the database is away."""

import os
import signal

import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from tests.postgres import PostgresServer
from tests.replicas.conftest import copy_books
from tests.system.processes import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.timeout(5 * PATIENCE_SECONDS)

EACH = 200


def test_each_worker_has_a_journal_of_its_own_and_nothing_of_one_that_is_killed_is_lost(
    start, shop, certificates, tmp_path
):
    journals = tmp_path / "journals"
    with PostgresServer() as server:
        database = copy_books(shop, server)
        service = start(
            RECOMMENDATIONS_DATABASE_URL=database["database_url"],
            RECOMMENDATIONS_DATABASE_PASSWORD_FILE=str(database["database_password_file"]),
            RECOMMENDATIONS_JOURNAL_DIRECTORY=str(journals),
        ).wait_ready()
        stubs = [
            RecommendationServiceStub(each) for each in service.connection_to_each(certificates.directory)
        ]
        server.stop("immediate")
        for name, stub in enumerate(stubs):
            for first in range(0, EACH, 10):
                interactions = [
                    pb.Interaction(
                        interaction_id=f"journal-{name}-{number}",
                        reader_id=900_000 + number,
                        book_id=number + 1,
                        type=pb.INTERACTION_TYPE_READ,
                    )
                    for number in range(first, first + 10)
                ]
                answer = stub.RecordInteractions(
                    pb.RecordInteractionsRequest(interactions=interactions), timeout=60
                )
                assert answer.recorded_count == 10
        assert len(list(journals.glob("*.journal"))) == 2
        os.kill(service.workers[0], signal.SIGKILL)
        wait_until(lambda: service.metric("recommendations_worker_restarts_total") == 1, "another worker")
        server.start()
        with_marks = "SELECT interaction_id FROM interactions WHERE starts_with(interaction_id, 'journal-')"

        def stored() -> list[str]:
            with server.connect(str(database["database_url"]).rpartition("/")[2]) as connection:
                return [row[0] for row in connection.execute(with_marks)]

        wait_until(lambda: len(stored()) >= 2 * EACH, "the replay")
        assert sorted(stored()) == sorted(
            f"journal-{name}-{number}" for name in range(2) for number in range(EACH)
        )
        wait_until(lambda: service.get("/readyz")[0] == 200, "readiness")
        assert not list(journals.glob("*.journal"))
        assert service.stop() == 0
