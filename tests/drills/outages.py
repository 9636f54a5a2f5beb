"""The drills: what may happen to the database or to a service while clients read and write.

Each brings trouble about, mends it, and returns what the clients saw; knows not what is good enough.
"""

import signal
from collections.abc import Callable

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.drills.load import Load
from tests.drills.scene import Outcome, Replica, Scene
from tests.tools import small_disk
from tests.world import wait_until

# Before the trouble begins, and after it has ended.
_WARM_UP, _ALL_IS_WELL = 2_000, 1_000
# As many interactions as a drill's count means something.
LEAST_ACKNOWLEDGED = 10_000
# Answers that were made before it was known reach their clients within this time.
_ON_THEIR_WAY_SECONDS = 0.5
_JOURNAL_DISK_MEGABYTES = 1

Drill = Callable[[Scene, float], Outcome]


def stopped(scene: Scene, seconds: float) -> Outcome:
    """PostgreSQL is stopped in an orderly way, and started again."""
    return _away(scene, seconds, scene.server.stop, scene.server.start)


def killed(scene: Scene, seconds: float) -> Outcome:
    """All processes of PostgreSQL are killed, as by a power cut."""
    return _away(scene, seconds, scene.server.kill, scene.server.start)


def hanging(scene: Scene, seconds: float) -> Outcome:
    """PostgreSQL takes connections and answers nothing, on new ones and on those that are open."""
    return _away(scene, seconds, scene.server.pause, scene.server.resume)


def _away(
    scene: Scene, seconds: float, leave: Callable[[], object], come_back: Callable[[], object]
) -> Outcome:
    service = scene.ready("service")
    with scene.load(service) as load:
        load.until_acknowledged(_WARM_UP)
        leave()
        _while_away(service, load, seconds)
        come_back()
        _recovered(scene, service, load)
    return scene.outcome(load)


def restarted(scene: Scene, _seconds: float) -> Outcome:
    """PostgreSQL is stopped and started at once, three times."""
    service = scene.ready("service")
    with scene.load(service) as load:
        for _ in range(3):
            load.until_acknowledged(_WARM_UP)
            scene.server.stop()
            scene.server.start()
        _recovered(scene, service, load)
    return scene.outcome(load)


def failed_over(scene: Scene, _seconds: float) -> Outcome:
    """PostgreSQL is killed and does not come back; a standby with the same data takes over."""
    return _fail_over(scene, scene.server.kill)


def failed_over_from_hanging(scene: Scene, _seconds: float) -> Outcome:
    """PostgreSQL hangs and goes on hanging; a standby with the same data takes over."""
    return _fail_over(scene, scene.server.pause)


def _fail_over(scene: Scene, leave: Callable[[], object]) -> Outcome:
    standby = scene.follow_with_standby()
    service = scene.ready("service")
    with scene.load(service) as load:
        load.until_acknowledged(_WARM_UP)
        leave()
        wait_until(service.is_away_from_database)
        standby.promote()
        scene.server = standby
        _recovered(scene, service, load)
    return scene.outcome(load)


def service_killed(scene: Scene, seconds: float) -> Outcome:
    """A service is killed with interactions in its journal, and once more while it replays them."""
    journal = scene.directory / "journal"
    writer, reader = scene.ready("writer", journal_directory=journal), scene.ready("reader")
    with scene.load(writer, reader) as load:
        load.until_acknowledged(_WARM_UP)
        scene.server.stop()
        wait_until(writer.is_away_from_database)
        load.until_acknowledged(LEAST_ACKNOWLEDGED)
        load.go_on(seconds)
        _kill(writer)
        stored = scene.server
        stored.start()
        before = len(scene.stored())
        assert before < len(load.acknowledged)
        writer = scene.start("writer", journal_directory=journal)
        wait_until(lambda: len(scene.stored()) > before)
        _kill(writer)
        writer = scene.ready("writer", journal_directory=journal)
        _recovered(scene, writer, load)
    return scene.outcome(load)


def killed_beside_a_journal(scene: Scene, seconds: float) -> Outcome:
    """All processes of PostgreSQL are killed, perhaps before they answered; a journal takes what comes."""
    service = scene.ready("service", journal_directory=scene.directory / "journal")
    with scene.load(service) as load:
        load.until_acknowledged(_WARM_UP)
        scene.server.kill()
        wait_until(service.is_away_from_database)
        load.until_acknowledged(_WARM_UP)
        load.go_on(seconds)
        scene.server.start()
        _recovered(scene, service, load)
    return scene.outcome(load)


def journal_full(scene: Scene, seconds: float) -> Outcome:
    """The disk of the journal fills up while PostgreSQL is away."""
    journal = scene.directory / "journal"
    service = scene.ready(
        "service", prefix=small_disk(journal, _JOURNAL_DISK_MEGABYTES), journal_directory=journal
    )
    with scene.load(service) as load:
        load.until_acknowledged(_WARM_UP)
        scene.server.stop()
        wait_until(service.is_away_from_database)
        load.until_acknowledged(_WARM_UP)
        wait_until(lambda: load.refusals, 60, "filling the journal's disk")
        load.go_on(seconds)
        scene.server.start()
        _recovered(scene, service, load)
    return scene.outcome(load)


DRILLS: dict[str, Drill] = {
    drill.__name__.replace("_", "-"): drill
    for drill in (
        stopped,
        killed,
        restarted,
        hanging,
        failed_over,
        failed_over_from_hanging,
        service_killed,
        killed_beside_a_journal,
        journal_full,
    )
}


def _while_away(service: Replica, load: Load, seconds: float) -> None:
    wait_until(service.is_away_from_database)
    load.go_on(_ON_THEIR_WAY_SECONDS)
    load.strategies.clear()
    refused_before, acknowledged_before = len(load.refusals), len(load.acknowledged)
    load.go_on(seconds)
    # Said honestly, and ready for reads nonetheless. Whoever has no history gets popular books as ever.
    assert load.strategies[pb.STRATEGY_STALE] > 0
    assert set(load.strategies) <= {pb.STRATEGY_STALE, pb.STRATEGY_POPULAR}, load.strategies
    code, _ = service.get("/readyz")
    assert code == 200
    assert service.conditions()["database"]["reason"]
    assert len(load.refusals) > refused_before
    assert len(load.acknowledged) == acknowledged_before


def _recovered(scene: Scene, service: Replica, load: Load) -> None:
    wait_until(lambda: not service.is_away_from_database(), what="the database's return")
    load.until_acknowledged(_ALL_IS_WELL)
    load.until_acknowledged(max(0, LEAST_ACKNOWLEDGED - len(load.acknowledged)))


def _kill(service: Replica) -> None:
    service.signal(signal.SIGKILL)
    service.wait_exit()
