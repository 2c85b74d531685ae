"""Pools: thirds without straddling ties, equal nested draws, lattices and pyramids."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import StorageError, UsageError
from sluice.sandbox.pools import (
    CONTROL,
    PARTS,
    RATES,
    Pool,
    Tier,
    draw_keys,
    drawn,
    expand,
    lattice,
    mixture,
    single_pools,
    tertiles,
    tiers,
)


def ids_of(count: int) -> pa.Array:
    return pa.array([xxhash.xxh3_128_hexdigest(str(n).encode()) for n in range(count)], pa.string())


VALUES = st.lists(st.one_of(st.sampled_from([0.0, 1.0, 2.0, 2.5]), st.floats(-5, 5), st.just(float("nan"))))


@given(VALUES)
@settings(deadline=None)
def test_thirds_hold_every_sample_once_and_no_tie_straddles_a_cut(values: list[float]) -> None:
    thirds = tertiles(np.array(values, np.float64))
    parts = [thirds.part(name) for name in PARTS]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(values)))
    low, mid, high, null = ([values[i] for i in part] for part in parts)
    assert all(v != v for v in null)
    assert not set(low) & set(mid)
    assert not set(mid) & set(high)
    assert not set(low) & set(high)
    assert max(low, default=-9) < min(mid + high, default=9)
    assert max(mid, default=-9) < min(high, default=9)
    if thirds.low_max is not None and thirds.mid_max is not None:
        assert low == [v for v in values if v <= thirds.low_max]
        assert high == [v for v in values if v > thirds.mid_max]


@given(st.lists(st.integers(0, 12), min_size=1))
@settings(deadline=None)
def test_a_cut_lies_where_two_values_differ_nearest_to_the_third(values: list[int]) -> None:
    thirds = tertiles(np.array(values, np.float64))
    places = [sum(v <= cut for v in values) for cut in sorted(set(values))[:-1]]
    if not places:
        assert "all values are" in thirds.note
        assert len(thirds.mid) == len(values)
        return
    for part, share in ((len(thirds.low), 1 / 3), (len(values) - len(thirds.high), 2 / 3)):
        target = len(values) * share
        assert abs(part - target) == pytest.approx(min(abs(p - target) for p in places))


def test_even_values_make_even_thirds_and_uneven_ones_are_said() -> None:
    thirds = tertiles(np.arange(90.0))
    assert [len(thirds.part(p)) for p in PARTS] == [30, 30, 30, 0]
    assert (thirds.low_max, thirds.mid_max, thirds.note) == (29, 59, "")
    tied = tertiles(np.repeat([0.0, 1.0], [10, 90]))
    assert [len(tied.part(p)) for p in PARTS] == [10, 0, 90, 0]
    assert "uneven" in tied.note
    assert "no sample has a value" in tertiles(np.full(4, np.nan)).note


def test_all_pools_have_one_size_and_the_control_is_drawn_from_all() -> None:
    ids = ids_of(3_000)
    measure = np.arange(3_000.0)
    measure[:300] = np.nan
    pools = {p.name: p for p in single_pools(ids, {"m": measure}, seed=1)}
    assert {len(p) for name, p in pools.items() if name != "m-null"} == {900}
    assert len(pools["m-null"]) == 300
    places = {id_: n for n, id_ in enumerate(ids.to_pylist())}
    high = [places[i] for i in pools["m-high"].ids.to_pylist()]
    assert min(high) >= 2_100
    spread = [places[i] for i in pools[CONTROL].ids.to_pylist()]
    assert 1_350 < np.mean(spread) < 1_650
    assert pools["m-low"].origin["low_max"] == 1_199
    # By one stream of keys, the control would hold the very samples that the thirds hold.
    shared = len(set(pools[CONTROL].ids.to_pylist()) & set(pools["m-low"].ids.to_pylist()))
    assert 200 < shared < 340


def test_pools_are_nested_when_the_cap_grows_and_others_with_another_seed() -> None:
    ids, measure = ids_of(600), np.arange(600.0)
    by_cap = {cap: single_pools(ids, {"m": measure}, seed=3, cap=cap) for cap in (20, 50, 150)}
    for small, large in ((20, 50), (50, 150)):
        for a, b in zip(by_cap[small], by_cap[large], strict=True):
            assert a.name == b.name
            assert len(a) == small
            assert set(a.ids.to_pylist()) < set(b.ids.to_pylist())
    again = single_pools(ids, {"m": measure}, seed=3, cap=20)
    assert [p.ids.to_pylist() for p in again] == [p.ids.to_pylist() for p in by_cap[20]]
    other = single_pools(ids, {"m": measure}, seed=4, cap=20)
    assert other[1].ids.to_pylist() != again[1].ids.to_pylist()


def test_small_pools_shrink_nothing_and_hopeless_measures_are_an_error() -> None:
    ids = ids_of(300)
    measures = {"good": np.arange(300.0), "rare": np.repeat([0.0, 1.0], [297, 3])}
    pools = {p.name: len(p) for p in single_pools(ids, measures, least=10)}
    assert pools["good-low"] == 100
    assert pools["rare-high"] == 3
    with pytest.raises(UsageError, match="no pool can be made"):
        single_pools(ids, {"none": np.full(300, np.nan)})
    constant = single_pools(ids, {"same": np.ones(300)}, cap=7)
    assert [p.name for p in constant] == [CONTROL, "same-mid"]


def test_draws_depend_on_ids_alone_not_on_their_place() -> None:
    ids = ids_of(400)
    keys = draw_keys(ids, 5)
    assert len(np.unique(keys)) == 400
    order = np.random.default_rng(0).permutation(400)
    assert draw_keys(ids.take(pa.array(order)), 5).tolist() == keys[order].tolist()
    assert draw_keys(ids.slice(30, 20), 5).tolist() == keys[30:50].tolist()
    assert draw_keys(ids, 5, "a").tolist() != draw_keys(ids, 5, "b").tolist()
    assert 0.4 < np.mean(keys > np.uint64(1 << 63)) < 0.6
    assert drawn(keys, np.arange(5), 9).tolist() == [0, 1, 2, 3, 4]
    assert drawn(keys, np.arange(5), 0).tolist() == []
    for odd in (["xyz"], ["g" * 32], [None]):
        with pytest.raises(UsageError, match="32 hexadecimal digits"):
            draw_keys(pa.array(odd, pa.string()), 5)


@given(st.integers(1, 5), st.integers(1, 60), st.integers(0, 10))
@settings(deadline=None)
def test_a_lattice_has_all_combinations_and_each_sample_is_in_one_tier(k: int, count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    conditions = {f"c{i}": np.flatnonzero(draw.random(count) < 0.5) for i in range(k)}
    found = lattice(count, conditions)
    assert len(found.combinations()) == 2**k - 1
    for names in found.combinations():
        expected = set(range(count)).intersection(*(conditions[n].tolist() for n in names))
        assert set(found.members(names).tolist()) == expected
    pyramid = tiers(found)
    placed = np.concatenate([t.members for t in pyramid]) if pyramid else np.empty(0, int)
    assert sorted(placed.tolist()) == sorted(set().union(*(m.tolist() for m in conditions.values())))
    assert [t.level for t in pyramid] == sorted((t.level for t in pyramid), reverse=True)


def test_tiers_of_a_level_go_by_their_score() -> None:
    found = lattice(4, {"a": np.array([0, 1]), "b": np.array([0, 2])})
    assert [t.combination for t in tiers(found)] == [("a", "b"), ("a",), ("b",)]
    worth = {("a",): 0.1, ("b",): 0.5, ("a", "b"): -1.0}
    assert [t.combination for t in tiers(found, worth.__getitem__)] == [("a", "b"), ("b",), ("a",)]
    with pytest.raises(UsageError, match="no condition 'c'"):
        found.members(["c"])
    with pytest.raises(UsageError, match="make no lattice"):
        lattice(4, {})


def test_lift_as_in_the_papers_overlap() -> None:
    """Two pools of a third each that share 147k of 1,217k samples: 12.08 %, 1.087 times 1/9."""
    count, third, shared = 1_217_000, 1_217_000 // 3, 147_000
    first = np.arange(third)
    second = np.arange(third - shared, 2 * third - shared)
    found = lattice(count, {"a": first, "b": second})
    assert len(found.members(["a", "b"])) / count == pytest.approx(0.1208, abs=5e-5)
    assert found.lift(["a", "b"]) == pytest.approx(1.087, abs=1e-3)


def test_expansion_takes_the_papers_shares_of_lower_tiers() -> None:
    """Top pool 147k, sizes 40k times the rate: 0, 8.1, 38.75, 54.1 and 63.25 % come from below."""
    keys = np.random.default_rng(0).permutation(700_000).astype(np.uint64)
    pyramid = [Tier(2, ("a", "b"), np.arange(147_000)), Tier(1, ("a",), np.arange(147_000, 700_000))]
    for rate, share in zip(RATES, (0, 8.125, 38.75, 54.0625, 63.25), strict=True):
        grown = expand(pyramid, keys, base=40_000, rate=rate, strategy="extend")
        assert len(set(grown.members.tolist())) == 40_000 * rate
        assert 100 * grown.shares.get(1, 0.0) == pytest.approx(share, abs=1e-9)
        again = expand(pyramid, keys, base=40_000, rate=rate, strategy="repeat")
        values, times = np.unique(again.members, return_counts=True)
        assert len(values) == 40_000
        assert set(times.tolist()) == {rate}


def test_expansions_are_nested_and_say_where_samples_run_out() -> None:
    keys = draw_keys(ids_of(50), 0)
    pyramid = [Tier(2, ("a", "b"), np.arange(8)), Tier(1, ("a",), np.arange(8, 50))]
    small, large = (expand(pyramid, keys, base=10, rate=r, strategy="extend") for r in (2, 4))
    assert set(small.members.tolist()) < set(large.members.tolist())
    out = expand(pyramid, keys, base=30, rate=2, strategy="extend")
    assert len(out.members) == 50
    assert "50 samples of the 60" in out.note
    odd = expand(pyramid, keys, base=8, rate=2.5, strategy="repeat")
    assert np.unique(odd.members, return_counts=True)[1].sum() == 20
    assert "8 samples of a base of 10" in expand(pyramid, keys, base=10, rate=2, strategy="repeat").note
    with pytest.raises(UsageError, match="nothing can be expanded"):
        expand([], keys, base=1, rate=2, strategy="extend")


def test_mixtures_have_the_size_and_shares_asked_for() -> None:
    ids = ids_of(100)
    pools = {
        "a": Pool("a", ids.slice(0, 60)),
        "b": Pool("b", ids.slice(60, 10)),
        "e": Pool("e", ids.slice(0, 0)),
    }
    mixed = mixture("m", pools, {"a": 2, "b": 1}, size=50, seed=1)
    members = mixed.ids.to_pylist()
    assert len(members) == 50
    first = set(pools["a"].ids.to_pylist())
    assert sum(m in first for m in members) == 33
    assert mixed.origin["times_over"]["b"] == pytest.approx(1.7)
    assert mixture("m", pools, {"a": 2, "b": 1}, size=50, seed=1).ids.equals(mixed.ids)
    for weights, message in (({"x": 1}, "'x'"), ({"a": -1}, "'a'"), ({"a": 0}, "are 0"), ({"e": 1}, "empty")):
        with pytest.raises(UsageError, match=message):
            mixture("m", pools, weights, size=5, seed=1)


def test_pools_are_kept_and_read_back(tmp_path: Path) -> None:
    pool = Pool("m-low", ids_of(5), {"kind": "single", "low_max": 0.5, "note": ""})
    pool.write(tmp_path / "low.parquet")
    back = Pool.read(tmp_path / "low.parquet")
    assert (back.name, back.ids, back.origin, len(back)) == (pool.name, pool.ids, pool.origin, 5)
    (tmp_path / "odd.parquet").write_bytes(b"no")
    with pytest.raises(StorageError, match="no pool"):
        Pool.read(tmp_path / "odd.parquet")
