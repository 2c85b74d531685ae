"""The selection file: one row a sample read, with meanings that a reader of Parquet alone can use."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from journeys import fates_of, go, sizes, write_source

from sluice.storage import Location
from sluice.store import read_margins


def test_margins_say_what_they_belong_to(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(40, 50, 60, 70))
    rule = "image_width_px between 45 and 65 and not image_entropy < 1 and key <> 'x'"
    go(tmp_path, f'  - keep: {{rule: "{rule}", name: medium}}')
    between, entropy = read_margins(Location(tmp_path / "out/selection.parquet"))
    assert (between.field, between.op, between.bound, between.upper) == ("image_width_px", "between", 45, 65)
    assert (entropy.field, entropy.op, entropy.bound) == ("image_entropy", "<", 1)
    assert between.scale == 15.0
    rows = fates_of(tmp_path / "out")
    assert [rows[f"s0{k}"][between.column] for k in range(4)] == [-5 / 15, 5 / 15, 5 / 15, -5 / 15]
    assert all(row[entropy.column] > 0 for row in rows.values())


def test_a_field_without_spread_is_measured_in_its_own_unit(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(40, 40, 40))
    go(tmp_path, "  - keep: image_width_px >= 30")
    (margin,) = read_margins(Location(tmp_path / "out/selection.parquet"))
    assert margin.scale == 1.0
    assert {row[margin.column] for row in fates_of(tmp_path / "out").values()} == {10.0}


def test_every_sample_has_a_row_in_source_order(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", [*sizes(40, 50, 60, 40), {"jpg": b"words"}])
    go(tmp_path, "  - keep: image_width_px >= 45\n  - dedup: image_height_px", write="shard_samples: 1")
    table = pq.read_table(tmp_path / "out/selection.parquet")
    assert table.column("ordinal").to_pylist() == list(range(5))
    assert table.column("fate").to_pylist() == ["dropped", "kept", "duplicate", "dropped", "failed"]
    assert table.column("duplicate_of").to_pylist() == [None, None, 1, None, None]
    assert table.column("shard").to_pylist() == [None, 0, None, None, None]
    assert table.column("reason").to_pylist() == [None, None, None, None, "not an image"]
    assert table.column("failing").to_pylist()[4] == []
