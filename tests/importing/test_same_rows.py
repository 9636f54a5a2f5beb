"""Properties: the three formats store the same rows, and the quick way accepts only what the rules accept."""

import csv
import json
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.interactions import Interaction, InteractionType, interaction_violations
from service.importing import INTERACTION_COLUMNS, ImportFailed, import_interactions, values
from service.importing.interactions import checked_row
from service.importing.moments import moments_of_one_layout
from service.importing.plain_rows import plain_rows
from service.importing.problems import BadValue

NOW = 1_800_000_000_000_000
NAMES = [column.name for column in INTERACTION_COLUMNS]
KNOWN = set(range(1, 10))


class Memory:
    """A store that remembers what it was given."""

    def __init__(self) -> None:
        self.rows: list[tuple] = []

    @contextmanager
    def bulk(self):
        yield self

    def book_ids(self):
        return KNOWN

    def add_interactions(self, rows):
        self.rows += rows

    def finish_interactions(self):
        return len(self.rows)


identifiers = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))
good_rows = st.fixed_dictionaries(
    {
        "reader_id": st.integers(1, 2**63 - 1),
        "book_id": st.sampled_from(sorted(KNOWN)),
        "rating": st.none() | st.integers(2, 10).map(lambda steps: steps / 2),
        "occurred_at": st.none() | moments,
        "interaction_id": st.none() | identifiers,
        "recommendation_id": st.none() | identifiers,
    }
)


def imported(path: Path) -> list[tuple]:
    """Import a file and return the rows that it gave."""
    store = Memory()
    import_interactions(path, store, now=NOW)
    return store.rows


@settings(max_examples=40)
@given(st.lists(good_rows, min_size=1, max_size=8))
def test_csv_json_lines_and_parquet_give_identical_rows(rows):
    written = [
        row | {"occurred_at": row["occurred_at"].isoformat() if row["occurred_at"] else None} for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "rows.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(written)
        (Path(folder) / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in written))
        fields = {
            "reader_id": pa.int64(),
            "book_id": pa.int64(),
            "rating": pa.float64(),
            "occurred_at": pa.timestamp("us", tz="UTC"),
            "interaction_id": pa.string(),
            "recommendation_id": pa.string(),
        }
        pq.write_table(pa.Table.from_pylist(rows, pa.schema(fields)), Path(folder) / "rows.parquet")
        from_csv, from_jsonl, from_parquet = (
            imported(Path(folder) / f"rows.{ending}") for ending in ("csv", "jsonl", "parquet")
        )
    assert from_csv == from_jsonl == from_parquet
    assert [row[1] for row in from_csv] == [row["reader_id"] for row in rows]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = [
        (row["occurred_at"] - epoch) // timedelta(microseconds=1) if row["occurred_at"] else NOW
        for row in rows
    ]
    assert [row[5] for row in from_csv] == expected


def mostly(good, *odd):
    """Draw what is usual in a column, and sometimes what is not."""
    return st.one_of(good, good, good, st.sampled_from(odd))


ODD = (
    "",
    None,
    "x",
    " 1",
    "1_0",
    "+1",
    "1.0",
    1.0,
    1.5,
    True,
    False,
    0,
    -1,
    "0",
    "\u0663",
    2**63,
    2**70,
    [],
    {},
)
columns = st.tuples(
    mostly(st.integers(1, 2**63 - 1) | st.integers(1, 99).map(str), *ODD),
    mostly(st.integers(1, 9) | st.integers(1, 9).map(str), *ODD, 77, "77"),
    mostly(st.sampled_from(["READ", "view", "RATING", "Rating", "", None]), *ODD, "RaTiNg"),
    mostly(st.sampled_from(["", None, "4.5", 4.5, 3, "3"]), *ODD, "5.5", 0.5, "4.50", float("nan"), 4.2),
    mostly(
        st.sampled_from(["", None, "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.123456+05:30", "1777636800"]),
        *ODD,
        1777636800,
        1777636800.25,
        "1777636800.25",
        float("nan"),
        float("inf"),
        1e300,
        "2026-05-01",
        "2026-05-01T12:00:00",
        "20260501",
        "2099-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        datetime(2026, 5, 1, 12),
        datetime(1969, 5, 1, 12),
    ),
    mostly(identifiers | st.just(""), *ODD, "a b", "x" * 65, "\u00e4"),
    mostly(identifiers | st.just(""), *ODD, "a b", "x" * 65, "\u00e4"),
)


@settings(max_examples=600)
@given(st.lists(columns, min_size=1, max_size=3), st.integers(0, 6))
def test_the_quick_way_accepts_only_what_the_rules_accept_and_reads_the_same(rows, uniform):
    # Columns in files are mostly of one kind: make one so.
    rows = [tuple(rows[0][at] if at == uniform else value for at, value in enumerate(row)) for row in rows]
    quick = plain_rows([list(column) for column in zip(*rows, strict=True)], KNOWN, NOW)
    if quick is not None:
        assert quick == [checked_row(row, KNOWN, NOW) for row in rows]
        for name, reader, book, kind, rating, occurred, origin in quick:
            stored = Interaction(name, reader, book, InteractionType(kind), occurred, rating, origin)
            assert interaction_violations(stored, NOW) == []


@settings(max_examples=300)
@given(columns)
def test_no_value_breaks_the_rules_instead_of_being_refused_by_them(row):
    try:
        checked_row(row, KNOWN, NOW)
    except BadValue as caught:
        bad = caught
    else:
        return
    assert bad.column in NAMES
    assert bad.rule
    assert "\n" not in bad.value


layouts = st.sampled_from(["seconds", "milliseconds", "microseconds"])


@settings(max_examples=200)
@given(
    st.lists(
        st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),
        min_size=1,
        max_size=5,
    ),
    layouts,
    st.sampled_from(["Z", "+00:00"]),
)
def test_moments_of_one_layout_are_read_as_one_by_one(moments, precision, zone):
    written = [moment.isoformat(timespec=precision).replace("+00:00", zone) for moment in moments]
    assert moments_of_one_layout(written) == [values.moment("occurred_at", each) for each in written]


@settings(max_examples=600)
@given(
    st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?(Z|\+00:00)", fullmatch=True
    )
    | st.sampled_from(
        [
            "2025-02-29T00:00:00Z",
            "2024-02-29T23:59:59Z",
            "1900-02-29T00:00:00Z",
            "2026-06-31T00:00:00Z",
            "2026-05-01T24:00:00Z",
            "2026-05-01T00:00:60Z",
            "0000-01-01T00:00:00Z",
            "2026-05-01 00:00:00Z",
            "2026-05-01T00:00:00+01:00",
            "\u0662026-05-01T00:00:00Z",
            "20260501T000000.000Z",
        ]
    )
)
def test_no_moment_is_read_that_there_is_not(written):
    quick = moments_of_one_layout([written])
    if quick is not None:
        assert quick == [values.moment("occurred_at", written)]


def test_moments_that_are_whole_only_together_are_not_read():
    halves = ["2026-05-01T00:00:00Z2026-05", "-01T00:00:00Z", "2026-05-01T00:00:00Z"]
    assert moments_of_one_layout(halves) is None
    assert moments_of_one_layout(["2026-05-01T00:00:00Z"] * 2) == [1_777_593_600_000_000] * 2


def test_plain_rows_take_the_quick_way():
    """Else the tests above would hold emptily."""
    columns_of = [
        ["1", "2"],
        ["3", "4"],
        ["RATING", "view"],
        ["4.5", ""],
        ["2026-05-01T12:00:00Z", "2026-05-01T12:00:01+02:00"],
        ["", ""],
        [None, None],
    ]
    assert plain_rows(columns_of, KNOWN, NOW) is not None
    assert (
        plain_rows([[1], [3], [None], [4.5], [datetime(2026, 5, 1)], [None], [None]], KNOWN, NOW) is not None
    )


@settings(max_examples=150)
@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl", "parquet"]), st.booleans())
def test_no_bytes_break_the_importer(content, ending, with_header):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows.{ending}"
        path.write_bytes((b"reader_id,book_id,rating\n" if with_header else b"") + content)
        try:
            report = import_interactions(path, Memory(), skip_bad=True, now=NOW)
        except ImportFailed as refusal:
            told = str(refusal)
        else:
            told = ""
            assert report.rows == report.stored + report.repeated + report.skipped
    assert "\n" not in told
