"""Forecasts: the interval's known values, seeded units, and a probe that measures nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journey_operators import operators
from small_pictures import make_source, recipe

from sluice.plan import Unit
from sluice.readers import FileStat, Slice
from sluice.recipe.load import loads
from sluice.run import run
from sluice.run.convert import convert
from sluice.run.execute import Options, execute
from sluice.run.forecast import draw, outlook, probe, wilson
from sluice.run.local import LocalEngine
from sluice.run.prepare import Prepared, prepare


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_values(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


@given(of=st.integers(1, 10**9), share=st.floats(0, 1))
def test_wilson_holds_the_share_and_stays_in_bounds(of: int, share: float) -> None:
    hits = round(share * of)
    low, high = wilson(hits, of)
    assert 0 <= low <= hits / of <= high <= 1
    mirrored = wilson(of - hits, of)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_nothing_seen_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def _units(counts: list[int | None]) -> list[Unit]:
    return [
        Unit(k, Slice((FileStat(f"{k}.tar", 10),), samples=n, size_bytes=10), f"{k:x}-{k}", f"{k:x}")
        for k, n in enumerate(counts)
    ]


@given(
    counts=st.lists(st.one_of(st.none(), st.integers(1, 50)), min_size=1, max_size=30),
    wanted=st.integers(1, 500),
    seed=st.integers(0, 5),
)
def test_drawn_units_are_enough_in_order_and_nested(counts: list[int | None], wanted: int, seed: int) -> None:
    units = _units(counts)
    chosen = draw(units, wanted, seed)
    assert list(chosen) == [u for u in units if u in chosen]
    held = sum(u.slice.samples or 1000 for u in chosen)
    assert held >= wanted or len(chosen) == len(units)
    assert set(chosen) <= set(draw(units, wanted + 100, seed))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Five shards of two samples each."""
    make_source(tmp_path / "in")
    convert(str(tmp_path / "in"), str(tmp_path / "tars"), shard_samples=2, quiet=True)
    return tmp_path / "tars"


def _prepared(shards: Path) -> Prepared:
    return prepare(recipe(shards), output=str(shards.parent / "out"))


def test_the_outlook_tells_units_passes_and_what_is_known(shards: Path) -> None:
    prepared = _prepared(shards)
    before = outlook(prepared)
    assert (before["units"], before["samples"], before["units_known"]) == (5, 10, 0)
    assert before["models"] == []
    (only,) = before["passes"]
    assert {o["operator"]: o["cost"] for o in only["operators"]} == {
        "image_width_px": "header",
        "image_content_hash": "header",
    }
    assert all(o["units_to_compute"] == 5 for o in only["operators"])
    assert not (shards.parent / "out").exists()
    execute(prepared, LocalEngine(0), Options(quiet=True))
    after = outlook(_prepared(shards))
    assert after["units_known"] == 5
    assert all(o["units_to_compute"] == 0 for o in after["passes"][0]["operators"])


def test_dear_operators_that_saw_every_sample_have_nothing_left_to_do(shards: Path) -> None:
    dear = loads(
        "source: in\nsteps:\n  - measure: image_dear_score\nwrite: {path: out}\n", source=str(shards)
    )

    def to_compute() -> int:
        found = prepare(dear, output=str(shards.parent / "out"), operators=operators())
        return int(outlook(found)["passes"][0]["operators"][0]["units_to_compute"])

    assert to_compute() == 5
    run(dear, output=str(shards.parent / "out"), workers=0, quiet=True, operators=operators())
    assert to_compute() == 0


def test_features_that_operators_share_are_named(shards: Path) -> None:
    more = recipe(shards)
    from sluice.recipe.steps import Measure

    steps = (Measure.model_validate(["image_contrast", "image_entropy"]), *more.steps)
    prepared = prepare(more.replace(steps=steps), output=str(shards.parent / "out"))
    shared = {s["feature"]: s["used_by"] for s in outlook(prepared)["passes"][0]["shared"]}
    assert {"image_contrast", "image_entropy"} <= set(shared["small_gray"])


def test_a_probe_measures_whole_units_into_the_store_once(shards: Path) -> None:
    prepared = _prepared(shards)
    found = probe(prepared, 4, LocalEngine(0), quiet=True)
    assert found["probed"]["units"] == 2
    assert found["probed"]["samples"] == 4
    assert found["samples"] == 10
    assert outlook(_prepared(shards))["units_known"] == 2
    assert not (shards.parent / "out").exists()
    # Probing the same units again measures nothing.
    assert probe(_prepared(shards), 4, LocalEngine(0), quiet=True)["hours"] is None
    fates = ("kept", "dropped", "duplicate", "failed")
    assert sum(found[fate]["share"] for fate in fates) == pytest.approx(1)
    for fate in fates:
        assert found[fate]["low"] <= found[fate]["share"] <= found[fate]["high"]


def test_a_probe_of_everything_is_what_the_run_finds(shards: Path) -> None:
    prepared = _prepared(shards)
    found = probe(prepared, 10, LocalEngine(0), quiet=True)
    summary = execute(prepared, LocalEngine(0), Options(quiet=True))
    assert {f: found[f]["samples"] for f in ("kept", "dropped", "duplicate", "failed")} == {
        f: summary[f] for f in ("kept", "dropped", "duplicate", "failed")
    }
    rules = {r["name"]: r["fell_here_first"]["samples"] for r in found["rules"]}
    assert rules == summary["by_rule"]
    assert [r["lower_bound"] for r in found["rules"]] == [False, True]
    assert found["read_bytes"] == sum(u.slice.size_bytes for u in prepared.units)
    assert 0 < found["write_bytes"]["share"] < summary["size_bytes"]
