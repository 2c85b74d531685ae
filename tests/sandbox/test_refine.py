"""Refinement: thresholds by distributions, which never leave what a field can be."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import UsageError
from sluice.recipe.load import load, loads
from sluice.recipe.recipe import Recipe, Source
from sluice.run import run
from sluice.sandbox.hooks.refine_thresholds import refine_thresholds
from sluice.sandbox.refine.measured import Measured
from sluice.sandbox.refine.methods import k_sigma, percentiles, target_yield
from sluice.sandbox.refine.thresholds import Method, refine
from sluice.sandbox.workflow.job import Job

SIGMA: Method = lambda found, sides: {m.name: k_sigma(m, 3.0) for m in found}  # noqa: E731


def recipe(*rules: str, head: str = "") -> Recipe:
    steps = "".join(f"\n  - keep: {{rule: '{rule}'}}" for rule in rules)
    return loads(f"source: {{path: nowhere/}}\nsteps:{head}{steps}")


def rules(found: Recipe) -> list[str]:
    return [step.rule for step in found.steps if step.key == "keep"]  # type: ignore[attr-defined]


def test_k_sigma_is_mean_and_sample_deviation() -> None:
    measured = Measured.of("x", pa.array([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]))
    low, high = k_sigma(measured, 2)
    assert (low, high) == pytest.approx((5 - 2 * 2.13809, 5 + 2 * 2.13809), abs=1e-4)
    assert percentiles(measured, 0.0, 0.5) == (2.0, 4.5)


def test_each_field_is_bounded_by_its_own_values_and_only_where_it_was() -> None:
    table = pa.table(
        {
            "image_width_px": pa.array([[w] for w in range(300, 700)], pa.list_(pa.int64())),
            "image_height_px": pa.array([[h] for h in range(100, 180)] * 5, pa.list_(pa.int64())),
        }
    )
    found = refine(recipe("image_width_px >= 200 and image_height_px <= 5000"), table, SIGMA)
    mean, sigma = np.mean(range(300, 700)), np.std(range(300, 700), ddof=1)
    assert mean - 3 * sigma == pytest.approx(152.66, abs=0.01)
    heights = np.array([*range(100, 180)] * 5)
    highest = int(heights.mean() + 3 * heights.std(ddof=1))
    assert rules(found.recipe) == [f"image_width_px >= 153 and image_height_px <= {highest}"]
    assert found.kept == 1.0


def test_a_minimum_below_what_can_be_becomes_the_end_of_what_can_be() -> None:
    words = pa.table({"text_word_count": pa.array([0, 5, 10, 400, 20], pa.int64())})
    found = refine(recipe("text_word_count between 10 and 10000"), words, SIGMA)
    (rule,) = rules(found.recipe)
    assert rule.startswith("text_word_count between 0 and ")
    assert "-" not in rule
    added = refine(recipe("image_width_px >= 1"), words, SIGMA, ["text_word_count"])
    assert rules(added.recipe)[1].startswith("text_word_count <= ")


def test_no_threshold_where_none_could_be_found() -> None:
    table = pa.table(
        {
            "image_width_px": pa.array([[64]] * 9, pa.list_(pa.int64())),
            "image_sharpness": pa.array([[None]] * 9, pa.list_(pa.float64())),
            "image_entropy": pa.array([[0.1 * n] for n in range(9)], pa.list_(pa.float64())),
        }
    )
    asked = recipe("image_width_px >= 20 and image_sharpness >= 5", "image_entropy >= 1")
    found = refine(asked, table, SIGMA)
    assert rules(found.recipe) == ["image_width_px >= 20 and image_sharpness >= 5", "image_entropy >= 0"]
    notes = {each.field: each.note for each in found.thresholds}
    assert notes["image_width_px"] == "all values are 64: left as it was"
    assert notes["image_sharpness"] == "no sample has a value: left as it was"
    assert notes["image_entropy"] == "nothing that could occur lies outside: no threshold"
    assert found.thresholds[1].missing == 9


def test_what_is_no_threshold_stays_as_it_was() -> None:
    table = pa.table({"image_width_px": pa.array([[n] for n in range(100, 200)], pa.list_(pa.int64()))})
    asked = recipe("image_width_px >= 5 or image_height_px >= 5", "not image_width_px < 7")
    with pytest.raises(UsageError, match="nothing to refine"):
        refine(asked, table, SIGMA)
    found = refine(asked, table, SIGMA, ["image_width_px"])
    assert rules(found.recipe)[:2] == rules(asked)
    assert rules(found.recipe)[2] == "all(image_width_px between 63 and 236)"
    with pytest.raises(UsageError, match="was not measured"):
        refine(asked, table, SIGMA, ["image_widht_px"])


def test_a_column_under_another_name_keeps_the_range_of_its_operator() -> None:
    head = "\n  - measure: {text_word_count: {as: words}}"
    table = pa.table({"words": pa.array([0, 5, 10, 400, 20], pa.int64())})
    found = refine(recipe("words >= 10", head=head), table, SIGMA)
    assert rules(found.recipe) == ["words >= 0"]


NUMBERS = st.lists(
    st.tuples(st.integers(-4, 4), st.one_of(st.none(), st.floats(-1e6, 1e6, allow_subnormal=False))),
    min_size=1,
    max_size=40,
)


@given(NUMBERS, st.floats(0.05, 1.0))
@settings(deadline=None)
def test_a_target_yield_is_reached_and_its_rules_keep_what_was_promised(
    rows: list[tuple[int, float | None]], share: float
) -> None:
    table = pa.table({"a": [a for a, _ in rows], "b": pa.array([b for _, b in rows], pa.float64())})
    method: Method = lambda found, sides: target_yield(found, sides, share)  # noqa: E731
    varies = {n: len(set(table[n].to_pylist()) - {None}) > 1 for n in "ab"}
    asked = recipe("a >= 0 and b <= 0")
    complete = sum(b is not None for _, b in rows) / len(rows)
    if varies["b"] and complete < share - 1e-9:
        with pytest.raises(UsageError, match="cannot be kept"):
            refine(asked, table, method)
        return
    found = refine(asked, table, method)
    if varies["a"] or varies["b"]:
        assert found.kept >= share - 1e-9
    # What it promises is what the rules of the refined recipe keep.
    bounds = {each.field: each.after for each in found.thresholds if each.after}
    kept = [
        all(
            value is not None
            and (bounds[name].low is None or value >= bounds[name].low)
            and (bounds[name].high is None or value <= bounds[name].high)
            for name, value in zip("ab", row, strict=True)
            if name in bounds
        )
        for row in rows
    ]
    assert sum(kept) / len(kept) == pytest.approx(found.kept)
    assert all(edges.high is None or edges.low is None for edges in bounds.values())


def test_samples_of_several_items_count_where_all_of_them_lie_within() -> None:
    column = pa.array([[1.0, 5.0], [2.0], [], [3.0, None], [4.0, 9.0]])
    measured = Measured.of("x", column)
    assert measured.kept(1.0, 5.0).tolist() == [True, True, False, False, False]
    assert measured.missing == 2
    assert sorted(measured.values.tolist()) == [1, 2, 3, 4, 5, 9]
    with pytest.raises(UsageError, match="no threshold"):
        Measured.of("x", pa.array(["a"]))


def test_the_hook_refines_by_a_table(tmp_path: Path) -> None:
    source = tmp_path / "asked.yaml"
    source.write_text(recipe("image_width_px >= 200").to_yaml())
    table = pa.table({"image_width_px": pa.array([[n] for n in range(1, 101)], pa.list_(pa.int64()))})
    pq.write_table(table, tmp_path / "measures.parquet")
    given = refine_thresholds(
        job(tmp_path),
        table=str(tmp_path / "measures.parquet"),
        recipe=str(source),
        method="target_yield",
        share=0.8,
    )
    assert rules(load(given["recipe"])) == ["image_width_px >= 21"]
    assert given["thresholds"]["kept"] == 0.8
    with pytest.raises(UsageError, match="no measures"):
        refine_thresholds(job(tmp_path))
    with pytest.raises(UsageError, match="no recipe"):
        refine_thresholds(job(tmp_path), table=str(tmp_path / "measures.parquet"))


def job(folder: Path) -> Job:
    (folder / "job").mkdir(exist_ok=True)
    return Job("refine", folder / "job")


def test_a_refined_recipe_keeps_what_it_promised_in_a_real_run(tmp_path: Path, data_dir: Path) -> None:
    asked = recipe("image_width_px >= 1 and image_sharpness >= 0", "image_entropy <= 8")
    asked = asked.replace(source=Source(path=str(data_dir / "photos"), limit=60))
    first = run(asked, output=tmp_path / "first")
    given = refine_thresholds(
        job(tmp_path), {"run": str(tmp_path / "first")}, method="target_yield", share=0.6
    )
    refined = load(given["recipe"])
    assert all(changed != old for changed, old in zip(rules(refined), rules(asked), strict=True))
    second = run(refined, output=tmp_path / "second")
    assert second["kept"] / (first["read"] - first["failed"]) == pytest.approx(given["thresholds"]["kept"])
    assert 0.6 <= given["thresholds"]["kept"] < 0.75
