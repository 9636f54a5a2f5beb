"""After ForgetReader nothing of the reader is left in any table, nor in any file of any replica."""

import os
from pathlib import Path

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from tests.drills.scene import Scene
from tests.world import wait_until

READER = 7_612_345_678_901
NAME = "a-name-that-leads-to-the-reader"
# Written anew every second or so.
MIRROR_HOURS = 0.0003
# As text, as both orders of bytes, and as protobuf writes it.
TRACES = [
    str(READER).encode(),
    NAME.encode(),
    READER.to_bytes(8, "little"),
    READER.to_bytes(8, "big"),
    pb.ForgetReaderRequest(reader_id=READER).SerializeToString()[1:],
]


def files_with_traces(directory: Path) -> set[str]:
    found = set()
    # Unlike a glob, a walk passes over an old mirror that is cleared away meanwhile.
    for path in [Path(folder, name) for folder, _, names in os.walk(directory) for name in names]:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        if any(trace in content for trace in TRACES):
            found.add(path.relative_to(directory).parts[1])
    return found


def tables_with_traces(scene: Scene) -> set[str]:
    with scene.server.connect(scene.database_name) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {
            table
            for (table,) in tables
            if connection.execute(
                f"SELECT 1 FROM {table} AS r WHERE r::text LIKE ANY (%s) LIMIT 1",
                [[f"%{READER}%", f"%{NAME}%"]],
            ).fetchone()
        }


def count(scene: Scene, table: str, condition: str = "true") -> int:
    with scene.server.connect(scene.database_name) as connection:
        return connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0]


def test_no_table_and_no_file_holds_a_forgotten_reader(scene):
    settings = {"mirror_hours": MIRROR_HOURS, "exposure_ratio": 1}
    journal = scene.directory / "one" / "journal"
    one = scene.start("one", journal_directory=journal, **settings)
    two = scene.start("two", **settings)
    here, there = (scene.client(replica.wait_ready()).recommendations for replica in (one, two))

    def record(number: int) -> None:
        shown = here.Recommend(pb.RecommendRequest(reader_id=READER))
        read = pb.Interaction(
            interaction_id=f"{NAME}-{number}",
            reader_id=READER,
            book_id=shown.books[0].book_id,
            type=pb.INTERACTION_TYPE_READ,
            recommendation_id=shown.recommendation_id,
        )
        here.RecordInteractions(pb.RecordInteractionsRequest(interactions=[read]), timeout=20)

    record(1)
    wait_until(
        lambda: there.Recommend(pb.RecommendRequest(reader_id=READER)).strategy == pb.STRATEGY_PERSONAL
    )
    # What they were shown is stored without their name, and leads to them by their interactions alone.
    shown = "exposures JOIN interactions USING (recommendation_id)"
    wait_until(lambda: count(scene, shown), what="storing what was shown")
    scene.server.stop()
    wait_until(one.is_away_from_database)
    record(2)
    assert "journal" in files_with_traces(scene.directory)
    scene.server.start()
    wait_until(lambda: count(scene, "interactions", f"reader_id = {READER}") == 2, what="the replay")
    assert tables_with_traces(scene) == {"interactions"}
    wait_until(lambda: "mirror" in files_with_traces(scene.directory), what="a mirror with the reader")
    wait_until(lambda: not one.is_away_from_database() and not two.is_away_from_database())

    assert there.ForgetReader(pb.ForgetReaderRequest(reader_id=READER)).deleted_interaction_count == 2
    # What tells the others to forget is the one thing that still names the reader, for a while.
    wait_until(lambda: tables_with_traces(scene) == {"changes"}, what="an empty database")
    assert not count(scene, shown)
    wait_until(lambda: not files_with_traces(scene.directory), what="files without the reader")
    for stub in (here, there):
        answer = stub.Recommend(pb.RecommendRequest(reader_id=READER))
        assert answer.strategy == pb.STRATEGY_POPULAR
