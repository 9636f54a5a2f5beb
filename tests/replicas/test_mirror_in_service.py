"""The mirror is renewed while the service answers, and forgets who is forgotten."""

import os
from contextlib import suppress
from pathlib import Path

from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.mirror import current_version
from tests.replicas.test_following import NEW_READER, record, strategy_of
from tests.world import wait_until


def bytes_of(directory) -> bytes:
    found = []
    for folder, _, names in os.walk(directory):  # passes over folders that are deleted meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                found.append(Path(folder, name).read_bytes())
    return b"".join(found)


def test_a_forgotten_reader_is_gone_from_database_and_mirror(start, shop, tmp_path):
    mirror = tmp_path / "mirror"
    reader_id = 0x5A17_C0DE_5A17
    marker = reader_id.to_bytes(8, "little")
    first = start(shop, mirror_directory=mirror, mirror_hours=1)
    record(first, "a-traceable-name", 1, reader_id)
    second = start(shop, mirror_directory=tmp_path / "other", mirror_hours=0.0003, follow_seconds=0.1)
    # Written anew about every second: with the reader, until they are forgotten.
    wait_until(lambda: marker in bytes_of(tmp_path / "other"))
    first.client.recommendations.ForgetReader(pb.ForgetReaderRequest(reader_id=reader_id))
    wait_until(lambda: marker not in bytes_of(tmp_path / "other"))
    assert strategy_of(second, reader_id) == pb.STRATEGY_POPULAR
    held = b"".join(path.read_bytes() for path in shop.directory.glob("recommendations.db*"))
    assert b"a-traceable-name" not in held


def test_answers_stay_right_while_the_mirror_is_renewed_again_and_again(start, shop, tmp_path):
    mirror = tmp_path / "mirror"
    service = start(shop, mirror_directory=mirror, mirror_hours=0.0002, follow_seconds=0.1)
    versions = {current_version(mirror)}
    number = 0
    while len(versions) < 4:
        number += 1
        record(service, f"renewed-{number}", 1, NEW_READER + number)
        assert strategy_of(service, NEW_READER + number) == pb.STRATEGY_PERSONAL
        # What was stored before a renewal is known after it.
        assert strategy_of(service, NEW_READER + 1) == pb.STRATEGY_PERSONAL
        versions.add(current_version(mirror))
    assert service.app.conditions.ready
