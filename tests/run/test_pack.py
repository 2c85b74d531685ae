"""Packing and what surrounds it: shards, keys, what a replaced output leaves, limits and early ends."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journeys import digests, go, measured, members, sizes, write_source, write_tar
from small_pictures import picture

from sluice.errors import SluiceError, TooManyFailuresError, UsageError
from sluice.run.pack import unique_keys
from sluice.run.verify import verify
from sluice.storage import Location
from sluice.store import RunDir

ALL = "  - keep: image_width_px >= 1"


def shard_keys(output: Path) -> list[list[str]]:
    return [
        pq.read_table(p, columns=["key"]).column(0).to_pylist() for p in sorted(output.glob("0*.parquet"))
    ]


def test_shards_close_by_count_and_by_bytes(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(40, 40, 40, 40, 40))
    go(tmp_path, ALL, write="shard_samples: 2")
    assert shard_keys(tmp_path / "out") == [["s00", "s01"], ["s02", "s03"], ["s04"]]
    weights = [p.stat().st_size for p in sorted((tmp_path / "in").iterdir())]
    go(tmp_path, ALL, write=f"shard_size: {weights[0] + weights[1]}", update=True)
    packed = shard_keys(tmp_path / "out")
    assert packed[0] == ["s00", "s01"]
    go(tmp_path, ALL, write="shard_size: 1", update=True)
    assert shard_keys(tmp_path / "out") == [[f"s{k:02d}"] for k in range(5)]


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_all_shards_have_the_same_columns(tmp_path: Path, form: str) -> None:
    """Also where a column of the source, which is read again, has no value in one of them."""
    (tmp_path / "in").mkdir()
    rows = pa.table(
        {"key": ["a", "b", "c"], "text": ["x", "y", "z"], "n": [1, 2, None], "z": [None, None, 5]}
    )
    pq.write_table(rows, tmp_path / "in/a.parquet")
    go(tmp_path, "  - keep: key >= 'a'", write=f"format: {form}, shard_samples: 2")
    tables = [pq.read_table(tmp_path / f"out/0000{k}.parquet") for k in range(2)]
    assert [str(table.schema.field(name).type) for table in tables for name in "nz"] == ["int64"] * 4
    assert tables[0].schema.names == tables[1].schema.names
    assert tables[0].column("n").to_pylist() == [1, 2]
    assert tables[1].column("z").to_pylist() == [5]


def test_a_sample_is_never_split(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "in/a.tar",
        {f"{k}.{side}.jpg": picture(10 * k + i) for k in range(4) for i, side in enumerate("ab")},
    )
    go(tmp_path, "  - keep: any(image_width_px >= 1)", write="shard_size: 1")
    assert [len(keys) for keys in shard_keys(tmp_path / "out")] == [1, 1, 1, 1]
    assert len(members(tmp_path / "out")) == 8


def test_colliding_keys_get_their_shards_stem(tmp_path: Path) -> None:
    for shard in ("one", "two"):
        write_tar(
            tmp_path / f"in/{shard}.tar", {f"x/{k}.jpg": picture(k + len(shard), 40 + k) for k in range(2)}
        )
    write_tar(tmp_path / "in/zwei.tar", {"x/two-0.jpg": picture(77), "x/2.jpg": picture(78)})
    go(tmp_path, ALL)
    keys = shard_keys(tmp_path / "out")[0]
    assert keys == ["x/0", "x/1", "x/two-0", "x/two-1", "x/zwei-two-0", "x/2"]
    table = pq.read_table(tmp_path / "out/00000.parquet")
    assert table.column("key_original").to_pylist() == ["x/0", "x/1", "x/0", "x/1", "x/two-0", "x/2"]
    assert sorted(members(tmp_path / "out")) == sorted(f"{key}.jpg" for key in keys)
    verify(RunDir.of(Location(tmp_path / "out")), quiet=True)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "s-a", "s-1-a", "d/a"]), st.sampled_from(["s", "t"]))))
def test_output_keys_are_unique_and_first_ones_unchanged(found: list[tuple[str, str]]) -> None:
    keys, stems = [k for k, _ in found], [s for _, s in found]
    out = unique_keys(keys, stems)
    assert len(set(out)) == len(out)
    for k, key in enumerate(keys):
        if key not in out[:k]:
            assert out[k] == key
        assert out[k].rpartition("/")[0] == key.rpartition("/")[0]


@pytest.mark.parametrize("form", ["webdataset", "folder", "parquet", "jsonl"])
def test_fewer_shards_leave_nothing_behind(tmp_path: Path, form: str) -> None:
    """The output of an update is that of a fresh run, file for file."""
    write_source(tmp_path / "in", "folder", sizes(40, 50, 60, 70, 80))
    settings_of = f"format: {form}, shard_samples: "
    go(tmp_path, ALL, write=settings_of + "1")
    go(tmp_path, "  - keep: image_width_px >= 60", write=settings_of + "2", update=True)
    updated = digests(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    go(tmp_path, "  - keep: image_width_px >= 60", write=settings_of + "2")
    assert digests(tmp_path / "out") == updated


def test_another_format_takes_the_place_of_the_first(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(40, 50))
    go(tmp_path, ALL)
    go(tmp_path, ALL, write="format: jsonl", update=True)
    assert not list((tmp_path / "out").glob("*.tar"))
    go(tmp_path, ALL, write="parquet: false", update=True)
    assert sorted(p.name for p in (tmp_path / "out").glob("0*")) == ["00000.tar"]


def test_too_many_failures_and_strict_end_with_their_own_error(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", [*sizes(40, 50), {"jpg": b"words"}])
    with pytest.raises(
        TooManyFailuresError, match=r"1 of 3 samples failed \(1 .+\), more than max_failed"
    ) as caught:
        go(tmp_path, ALL, "max_failed=10%")
    assert caught.value.exit_code == 1
    assert not (tmp_path / "out/00000.tar").exists()
    for _ in range(2):  # also where everything is known already
        with pytest.raises(TooManyFailuresError, match="1 of 3 samples failed and --strict"):
            go(tmp_path, ALL, strict=True, update=True)
    assert go(tmp_path, ALL, "max_failed=40%", update=True)["kept"] == 2


def test_an_unreadable_item_that_is_dropped_is_no_failure_for_strict(tmp_path: Path) -> None:
    write_tar(tmp_path / "in/a.tar", {"a.l.jpg": picture(1), "a.r.jpg": b"words"})
    assert go(tmp_path, "  - keep: any(image_width_px >= 1)", strict=True)["kept"] == 1


def test_another_recipe_is_refused_and_told_how(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(40, 50))
    go(tmp_path, ALL)
    before = digests(tmp_path / "out")
    with pytest.raises(UsageError, match="another recipe was run into this output") as caught:
        go(tmp_path, "  - keep: image_width_px >= 45")
    assert "--update" in caught.value.fix
    assert caught.value.exit_code == 2
    assert digests(tmp_path / "out") == before


@pytest.mark.parametrize("form", ["folder", "tar", "parquet", "jsonl"])
@pytest.mark.parametrize("limit", [1, 3, 99])
def test_a_limit_reads_that_many(tmp_path: Path, form: str, limit: int) -> None:
    write_source(tmp_path / "in", form, sizes(*([40] * 5)))
    found = go(tmp_path, ALL, f"source.limit={limit}", *(["source.format=jsonl"] * (form == "jsonl")))
    assert found["read"] == min(limit, 5) == measured(found)


def test_a_limit_goes_on_into_the_next_shard_whatever_its_format(tmp_path: Path) -> None:
    for k in range(3):
        write_tar(tmp_path / f"raw/{k}.tar", {f"{k}-{i}.jpg": picture(i + 10 * k) for i in range(2)})
    import gzip

    (tmp_path / "in").mkdir()
    for path in (tmp_path / "raw").iterdir():
        (tmp_path / f"in/{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    assert go(tmp_path, ALL, "source.limit=5")["read"] == 5


def test_what_needs_no_measuring_still_runs(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(40, 50, 60))
    found = go(tmp_path, "  - sample: {count: 2, seed: 3}\n  - keep: key >= 's00'")
    assert (found["kept"], found["by_rule"]) == (2, {"sample 2": 1, "key >= 's00'": 0})


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 100), st.integers(1, 5))
def test_greedy_packing_fills_each_shard(sizes_of: list[int], shard_size: int, most: int) -> None:
    """No shard could have taken the next sample, and none but single ones exceeds its size."""
    from sluice.run.pack import cut_shards

    shard = cut_shards(np.array(sizes_of, np.int64), shard_size, most)
    assert list(shard) == sorted(shard)
    for number in range(int(shard.max()) + 1 if len(shard) else 0):
        here = [s for s, n in zip(sizes_of, shard, strict=True) if n == number]
        after = [s for s, n in zip(sizes_of, shard, strict=True) if n == number + 1]
        assert here
        assert len(here) <= most
        assert sum(here) <= shard_size or len(here) == 1
        if after:
            assert len(here) == most or sum(here) + after[0] > shard_size


def test_children_of_one_parent_are_written_together() -> None:
    """A shard ends with a parent once it has its samples; of a long film each has 64."""
    from sluice.run.pack import cut_shards, families

    parents = ["a"] * 3 + ["b"] * 2 + [None] * 2 + ["c"] * 130 + ["d"]
    begins, counted = families(parents, np.full(len(parents), 10))
    assert counted.sum() == 10 * 6
    shard = cut_shards(counted, 1000, 4, may_begin=begins)
    assert [parents[k] for k in np.flatnonzero(np.diff(shard, prepend=-1))] == ["a", None, "c", "c"]
    assert np.bincount(shard).tolist() == [5, 66, 64, 3]


def test_children_stay_together_in_each_partition() -> None:
    """A source's bytes count in every partition that has a child of it, and its children there stay together."""
    from sluice.run.pack import cut_shards, families

    parents = ["a", "b", "b", "a", "b", "b", "c", "c"]  # in the order of the output
    partition = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    begins, counted = families(parents, np.full(8, 10), partition)
    assert begins.tolist() == [True, True, False, True, True, False, True, False]
    assert counted.tolist() == [10, 10, 0, 10, 10, 0, 10, 0]
    assert cut_shards(counted, 20, None, partition, begins).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    edge = families(["b", "b"], np.full(2, 10), np.array([0, 1]))
    assert (edge[0].tolist(), edge[1].tolist()) == ([True, True], [10, 10])


def test_a_partitioned_output_keeps_children_together(tmp_path: Path) -> None:
    """Parents alternate between the partitions: in each, shards end with a parent, and by its bytes."""
    from sluice.recipe.recipe import Write
    from sluice.run.pack import pack

    columns: dict[str, Any] = {
        "unit": pa.array([0] * 8, pa.int32()),
        "key": [f"k{k}" for k in range(8)],
        "parent": list("aaaabbbb"),
        "side": list("lrlrlrlr"),
        "size_bytes": pa.array([10] * 8, pa.int64()),
    }
    table = _Rows(tmp_path / "rows.parquet", pa.table(columns))
    write = Write(path="out", format="clips", shard_size=10, partition_by="side")
    packing = pack(table, np.ones(8, bool), write, ["u"], gathers=8)  # type: ignore[arg-type]
    assert packing.keys == ["k0", "k2", "k4", "k6", "k1", "k3", "k5", "k7"]
    assert packing.shard.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(("parents", "each", "shards"), [(4, 2, 4), (4, 20, 4), (300, 2, 75)])
def test_a_small_output_has_a_shard_for_each_parent(
    parents: int, each: int, shards: int, tmp_path: Path
) -> None:
    """So that a few long videos occupy more than one worker; of many, shards of eight clips."""
    from sluice.recipe.recipe import Write
    from sluice.run.pack import pack

    count = parents * each
    columns: dict[str, Any] = {
        "unit": pa.array([0] * count, pa.int32()),
        "key": [f"k{k}" for k in range(count)],
        "parent": [f"p{k // each}" for k in range(count)],
        "size_bytes": pa.array([10] * count, pa.int64()),
    }
    table = _Rows(tmp_path / "rows.parquet", pa.table(columns))
    found = pack(table, np.ones(count, bool), Write(path="out", format="clips"), ["u"], gathers=8)  # type: ignore[arg-type]
    assert found.shard[-1] + 1 == shards
    assert all(len(set(found.shard[k : k + each].tolist())) == 1 for k in range(0, count, each))


class _Rows:
    """As much of a table as packing looks at."""

    def __init__(self, path: Path, rows: pa.Table) -> None:
        self.path, self.rows = path, rows
        pq.write_table(rows, path)

    def paths(self) -> list[Path]:
        return [self.path]

    def take(self, ordinals: Any, columns: list[str]) -> pa.Table:
        return self.rows.select(columns).take(pa.array(ordinals))


def test_an_empty_source_says_so(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(SluiceError):
        go(tmp_path, ALL)


@pytest.mark.parametrize("form", ["webdataset", "folder", "parquet", "jsonl"])
def test_nothing_kept_writes_no_shard(tmp_path: Path, form: str) -> None:
    write_source(tmp_path / "in", "folder", sizes(40, 50))
    found = go(tmp_path, "  - keep: image_width_px >= 999", write=f"format: {form}")
    assert (found["kept"], found["shards"], found["dropped"]) == (0, 0, 2)
    verify(RunDir.of(Location(tmp_path / "out")), quiet=True)


def test_a_shard_without_samples_is_read_as_none(tmp_path: Path) -> None:
    write_tar(tmp_path / "in/a.tar", {})
    found = go(tmp_path, ALL)
    assert (found["read"], found["kept"]) == (0, 0)


def test_files_of_a_run_that_ended_early_go_where_another_recipe_goes_on(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(40, 40, 80))
    last = f"{next((tmp_path / 'in').glob('s02.*')).name}/in the way"
    (tmp_path / "out" / last).mkdir(parents=True)
    with pytest.raises(SluiceError):
        go(tmp_path, ALL, write="format: folder")
    written = {p.stem for p in (tmp_path / "out").iterdir() if p.is_file()}
    shutil.rmtree((tmp_path / "out" / last).parent)
    go(tmp_path, "  - keep: image_width_px >= 80", write="format: folder", update=True)
    assert {"s00", "s01"} <= written
    assert [p.stem for p in sorted((tmp_path / "out").glob("s0*"))] == ["s02"]
    verify(RunDir.find(str(tmp_path / "out")), quiet=True)
