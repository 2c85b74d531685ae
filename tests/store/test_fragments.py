"""Fragments say what made their columns, whose notes they hold, and whether another try may do better."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.operator import registry
from sluice.plan.columns import Column, columns_of
from sluice.sample import Note
from sluice.storage import Location
from sluice.store import Fragments
from sluice.store.fragments import fragment_name


@pytest.fixture
def store(tmp_path: Path) -> Fragments:
    return Fragments(Location(tmp_path / "fragments"))


@pytest.fixture
def column() -> Column:
    (found,) = columns_of([registry().bind("image_width_px", alias="breadth")])
    return found


def write(store: Fragments, column: Column, values: list[int | None], **options: object) -> str:
    rows = list(range(len(values)))
    given: dict[str, object] = {"of_rows": len(rows), "rows": rows, "notes": [[] for _ in rows]} | options
    return store.write("u-1", columns=[(column, [[v] for v in values])], **given)  # type: ignore[arg-type]


def test_what_was_written_is_read(store: Fragments, column: Column) -> None:
    name = write(store, column, [40, None])
    (found,) = store.stored("u-1")
    assert (found.location.name, found.rows, found.whole, found.transient) == (name, 2, True, "")
    assert found.marks == {column.mark: "breadth"}
    assert found.makers[column.mark] >= {"breadth", "header"}
    assert found.read(["breadth"]).column(0).to_pylist() == [[40], [None]]
    assert store.listing() == {"u-1": [name]}


def test_equal_content_gives_equal_bytes_and_its_name_is_known_before(
    store: Fragments, column: Column
) -> None:
    name = write(store, column, [40])
    before = (store.location / "u-1" / name).read()
    assert write(store, column, [40]) == name == fragment_name([column.mark], [0], 1)
    assert (store.location / "u-1" / name).read() == before


def test_parts_of_a_unit_have_names_of_their_own(store: Fragments, column: Column) -> None:
    names = {
        write(store, column, [40]),
        write(store, column, [40], of_rows=9),
        write(store, column, [40], of_rows=9, rows=[4]),
    }
    assert len(names) == 3
    assert [f.whole for f in store.stored("u-1")].count(True) == 1


@pytest.mark.parametrize(
    ("note", "transient"),
    [
        (Note("crash", "breadth: time limit", operator="breadth"), True),
        (Note("unreadable", "bytes not readable", item=0), True),
        (Note("read", "file not readable"), True),
        (Note("unreadable", "truncated", item=0), False),
        (Note("error", "breadth: ValueError", operator="breadth"), False),
    ],
)
def test_what_another_try_may_not_meet_is_transient(
    store: Fragments, column: Column, note: Note, transient: bool
) -> None:
    write(store, column, [None], notes=[[note]])
    (found,) = store.stored("u-1")
    assert bool(found.transient) == transient


def test_fragments_of_another_format_or_damaged_ones_are_not_known(tmp_path: Path) -> None:
    folder = tmp_path / "fragments" / "unit"
    folder.mkdir(parents=True)
    (folder / "damaged.parquet").write_bytes(b"PAR1 no more")
    older = pa.table({"row": [0]}).replace_schema_metadata({b"sluice.fragment": b'{"format": 1, "rows": 1}'})
    pq.write_table(older, folder / "older.parquet")
    pq.write_table(pa.table({"row": [0]}), folder / "strange.parquet")
    assert Fragments(Location(tmp_path / "fragments")).of("unit") == []
