"""A forgotten reader is gone from the table and from the bytes on the disk."""

from service.domain.interactions import Interaction, InteractionType
from service.storage import Database, sqlite
from tests.storage.rows import read


def test_forgetting_deletes_that_reader_alone_and_counts(database):
    database.record([read("a", reader=1), read("b", reader=2), read("c", reader=1)])
    assert database.forget_reader(1) == 2
    assert database.interactions().reader_ids.tolist() == [2]
    assert database.forget_reader(1) == 0


def test_forgotten_rows_leave_no_bytes_behind(url, path):
    with Database.open(url) as database:
        database.record(
            [
                Interaction(f"traceable-{n}", 7, 1, InteractionType.READ, 1, None, "origin-x")
                for n in range(500)
            ]
        )
        database.record([read("kept", reader=8)])
        database.forget_reader(7)
        held = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"kept" in held
    assert b"traceable" not in held
    assert b"origin-x" not in held


def test_sequence_numbers_are_never_used_again(url, path):
    """Whoever follows the table by sequence would miss a row under a number already seen."""
    import sqlite3

    with Database.open(url) as database:
        database.record([read("a", reader=1), read("b", reader=2)])
        database.forget_reader(2)
        database.record([read("c", reader=3)])
        with database.bulk() as bulk:
            bulk.add_interactions([("d", 4, 1, 4, None, 1, "")])
    rows = (
        sqlite3.connect(path)
        .execute("SELECT sequence, interaction_id FROM interactions ORDER BY 1")
        .fetchall()
    )
    assert [name for _, name in rows] == ["a", "c", "d"]
    assert rows[1][0] > 2


def test_a_reader_counts_as_forgotten_though_the_log_cannot_be_folded_in(
    sqlite_database, monkeypatch, caplog
):
    """Else the caller, and memory, would go on as if the rows were still there."""

    def fail(connection):
        raise OSError("disk on fire")

    database = sqlite_database
    database.record([read("a", reader=1)])
    monkeypatch.setattr(sqlite, "fold_log", fail)
    assert database.forget_reader(1) == 1
    assert len(database.interactions()) == 0
    assert "could not be cleared" in caplog.text
