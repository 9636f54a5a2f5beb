"""Under load, with the database going away in every manner: reads go on, and no promise is broken."""

import pytest

from tests.drills.outages import DRILLS, LEAST_ACKNOWLEDGED, Drill
from tests.drills.scene import SHORT_PATIENCE

SECONDS = 2.0  # of an outage; `python -m tests.drills --full` takes longer ones


@pytest.mark.parametrize("drill", DRILLS.values(), ids=DRILLS)
def test_no_read_fails_and_nothing_acknowledged_is_lost(scene, drill: Drill):
    outcome = drill(scene, SECONDS)
    assert outcome.failed_reads == []
    assert outcome.reads > 100
    assert outcome.acknowledged >= LEAST_ACKNOWLEDGED
    assert (outcome.lost, outcome.duplicates, outcome.miscounted) == (0, 0, 0)
    # Whoever could not store said so in the right way, and most of them before both patiences were at an end.
    assert outcome.failed_writes == []
    assert outcome.without_retry_info == 0
    assert outcome.median_refusal_seconds < sum(
        SHORT_PATIENCE[each] for each in ("database_connect_seconds", "database_statement_seconds")
    )
