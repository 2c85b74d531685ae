"""Selectors: what each keeps of the samples left, whatever their order, and what the whole keeps of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import PlanError, RecipeError
from sluice.recipe import Balance, Frequency, Mixture, Quantile, SampleStep, Selector, Top, load
from sluice.recipe.build import build_step
from sluice.storage import Location
from sluice.store.choose import chosen, quotas
from sluice.store.table import Table

Row = tuple[str, float | None, str | None]
"""A sample: id, score, label."""


def _table(folder: Path, rows: Sequence[Row], label_type: pa.DataType | None = None) -> Table:
    """A wide table of these samples, as compaction lays it out."""
    ids, scores, labels = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    data = {
        "ordinal": pa.array(range(len(rows)), pa.int64()),
        "id": pa.array(ids, pa.string()),
        "key": pa.array(ids, pa.string()),
        "score": pa.array(scores, pa.float64()),
        "label": pa.array(labels, label_type or pa.string()),
    }
    pq.write_table(pa.table(data), folder / "part-00000.parquet", row_group_size=3)
    index = {
        "rows": len(rows),
        "parts": [{"path": "part-00000.parquet", "rows": len(rows)}],
        "max_items": {},
        "passthrough": {"score": "double", "label": "string"},
        "columns": [],
    }
    (folder / "index.json").write_text(json.dumps(index))
    return Table(Location(str(folder)))


def _kept(
    step: Selector, rows: Sequence[Row], alive: Sequence[bool] | None = None, **options: Any
) -> list[str]:
    with TemporaryDirectory() as folder:
        mask = np.array(alive if alive is not None else [True] * len(rows), bool)
        table = _table(Path(folder), rows, **options)
        return sorted(rows[k][0] for k in np.flatnonzero(chosen(step, table, mask)))


def _scored(*scores: float | None) -> list[Row]:
    return [(f"{chr(97 + k)}", score, None) for k, score in enumerate(scores)]


def _labelled(labels: str) -> list[Row]:
    return [(f"{k:02d}", None, None if label == "-" else label) for k, label in enumerate(labels)]


def test_top_takes_the_highest_and_of_equal_ones_the_lower_id() -> None:
    rows = _scored(1, 5, 3, 5, None, 3)
    assert _kept(Top(by="score", count=2), rows) == ["b", "d"]
    assert _kept(Top(by="score", count=3), rows) == ["b", "c", "d"]
    assert _kept(Top(by="score", count=3), rows[::-1]) == ["b", "c", "d"]
    assert _kept(Top(by="score", count=1, order="asc"), rows) == ["a"]
    assert _kept(Top(by="score", count=99), rows) == ["a", "b", "c", "d", "f"]


def test_a_share_of_the_top_is_of_those_with_a_value() -> None:
    rows = _scored(1, 2, 3, 4, 5, None, None)
    assert _kept(Top(by="score", fraction=0.5), rows) == ["c", "d", "e"]  # 2.5 of 5
    assert _kept(Top(by="score", fraction=0.5, nulls="keep"), rows) == ["c", "d", "e", "f", "g"]
    assert _kept(Top(by="score", fraction=0.01), rows) == []


def test_only_samples_left_are_chosen_among() -> None:
    rows = _scored(1, 5, 3)
    assert _kept(Top(by="score", count=1), rows, [True, False, True]) == ["c"]
    assert _kept(Quantile(by="score", low=0.5), rows, [True, False, True]) == ["c"]


def test_quantiles_are_closed_and_those_of_numpy() -> None:
    rows = _scored(*range(11), None)
    assert _kept(Quantile(by="score", low=0.1, high=0.9), rows) == list("bcdefghij")
    assert _kept(Quantile(by="score", low=0.15), rows) == list("cdefghijk")
    assert _kept(Quantile(by="score", high=0.5, nulls="keep"), rows) == [*"abcdef", "l"]
    assert _kept(Quantile(by="score", high=0.5), _scored(2, 2, 2)) == ["a", "b", "c"]
    assert _kept(Quantile(by="score", high=0.5), _scored(None, None)) == []


def test_balance_caps_each_label() -> None:
    rows = _labelled("aaaabbc-")
    assert _kept(Balance(by="label", max_per=2, keep_by="first"), rows) == ["00", "01", "04", "05", "06"]
    assert _kept(Balance(by="label", max_per=1, keep_by="first", nulls="keep"), rows) == [
        "00",
        "04",
        "06",
        "07",
    ]
    assert len(_kept(Balance(by="label", max_per=2), rows)) == 5


def test_balance_to_a_size_leaves_rare_labels_whole() -> None:
    rows = _labelled("a" * 10 + "b" * 4 + "c")
    for count, sizes in ((15, [10, 4, 1]), (9, [4, 4, 1]), (10, [5, 4, 1]), (11, [6, 4, 1]), (4, [1, 1, 1])):
        kept = _kept(Balance(by="label", count=count), rows)
        found = Counter(rows[int(i)][2] for i in kept)
        assert [found[label] for label in "abc"] == sizes, count


def test_balance_keeps_the_best_of_a_label() -> None:
    rows = [("a", 1.0, "x"), ("b", 3.0, "x"), ("c", None, "x"), ("d", 2.0, "y")]
    assert _kept(Balance(by="label", max_per=1, keep_by="score desc"), rows) == ["b", "d"]
    assert _kept(Balance(by="label", max_per=1, keep_by="score asc"), rows) == ["a", "d"]


def test_frequency_counts_among_the_samples_left() -> None:
    rows = _labelled("aaabbc-")
    assert _kept(Frequency(by="label", min_count=2), rows) == ["00", "01", "02", "03", "04"]
    assert _kept(Frequency(by="label", max_count=2), rows) == ["03", "04", "05"]
    assert _kept(Frequency(by="label", max_count=1, nulls="keep"), rows) == ["05", "06"]
    assert _kept(Frequency(by="label", top=1), rows) == ["00", "01", "02"]
    assert _kept(Frequency(by="label", top=1), rows, [False, False] + [True] * 5) == ["03", "04"]
    tie = _labelled("bbaa")
    assert _kept(Frequency(by="label", top=1), tie) == ["02", "03"]


@pytest.mark.parametrize(
    ("values", "kind", "top"),
    [([2.5, 2.5, 1.0], pa.float64(), ["00", "01"]), ([True, False, True], pa.bool_(), ["00", "02"])],
)
def test_labels_may_be_numbers_and_truths(values: list[Any], kind: pa.DataType, top: list[str]) -> None:
    rows = [(f"{k:02d}", None, value) for k, value in enumerate(values)]
    assert _kept(Frequency(by="label", top=1), rows, label_type=kind) == top


def test_a_mixture_is_as_large_as_its_scarcest_label_allows() -> None:
    rows = _labelled("a" * 20 + "b" * 5 + "c" * 9 + "-")
    kept = Counter(rows[int(i)][2] for i in _kept(Mixture(by="label", weights={"a": 2, "b": 1}), rows))
    assert kept == {"a": 10, "b": 5}
    kept = Counter(
        rows[int(i)][2] for i in _kept(Mixture(by="label", weights={"a": 1, "b": 1, "z": 0}), rows)
    )
    assert kept == {"a": 5, "b": 5}


def test_a_label_that_no_sample_has_is_an_error_that_names_the_nearest() -> None:
    rows = _labelled("abc")
    with pytest.raises(PlanError, match="no sample left has the label 'none'"):
        _kept(Mixture(by="label", weights={"a": 1, "none": 1}), rows)
    named = [("1", None, "photos"), ("2", None, "drawings")]
    with pytest.raises(PlanError, match="did you mean 'photos'"):
        _kept(Mixture(by="label", weights={"fotos": 1}), named)
    assert _kept(Mixture(by="label", weights={"a": 1}), rows, [False] * 3) == []


def test_of_more_labels_than_samples_wanted_the_best_stay() -> None:
    rows = [(f"{k}", float(k), label) for k, label in enumerate("aabbccdd")]
    assert _kept(Balance(by="label", count=2, keep_by="score desc"), rows) == ["5", "7"]
    assert len(_kept(Balance(by="label", count=3), rows)) == 3


def test_a_mixture_of_a_size_takes_what_there_is_of_a_scarce_label() -> None:
    rows = _labelled("a" * 20 + "b" * 5)
    for count, sizes in ((10, {"a": 7, "b": 3}), (20, {"a": 14, "b": 5}), (3, {"a": 2, "b": 1})):
        weights = {"a": 0.7, "b": 0.3}
        kept = Counter(
            rows[int(i)][2] for i in _kept(Mixture(by="label", weights=weights, count=count), rows)
        )
        assert kept == sizes, count


def test_truths_are_mixed_by_their_names_in_a_recipe() -> None:
    rows = [(f"{k:02d}", None, k % 3 == 0) for k in range(9)]
    kept = _kept(Mixture(by="label", weights={"true": 1, "false": 1}), rows, label_type=pa.bool_())
    assert sum(int(i) % 3 == 0 for i in kept) == 3
    assert len(kept) == 6


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=6), st.integers(0, 1000))
def test_quotas_add_up_and_are_within_one_of_exact(weights: list[float], count: int) -> None:
    shares = np.array(weights) / sum(weights)
    found = quotas(shares, count)
    assert found.sum() == count
    assert (np.abs(found - shares * count) < 1 + 1e-6).all()


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-3, 3).map(float)),
        st.one_of(st.none(), st.sampled_from(["a", "b", "c"])),
        st.booleans(),
    ),
    max_size=25,
)
STEPS: list[Callable[[], Selector]] = [
    lambda: SampleStep(count=3, seed=1),
    lambda: SampleStep(fraction=0.4),
    lambda: Top(by="score", count=4),
    lambda: Top(by="score", fraction=0.3, order="asc", nulls="keep"),
    lambda: Quantile(by="score", low=0.2, high=0.8),
    lambda: Balance(by="label", max_per=2),
    lambda: Balance(by="label", count=5, keep_by="score desc", nulls="keep"),
    lambda: Frequency(by="label", min_count=3),
    lambda: Mixture(by="label", weights={"a": 1, "b": 2}),
    lambda: Mixture(by="label", weights={"a": 1, "b": 2}, count=6, seed=3),
]


@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("make", STEPS)
@given(rows=ROWS, seed=st.integers(0, 99))
def test_none_that_was_dropped_comes_back_and_order_does_not_matter(
    make: Callable[[], Selector], rows: list[tuple[float | None, str | None, bool]], seed: int
) -> None:
    samples: list[Row] = [(f"{k:03d}", score, label) for k, (score, label, _) in enumerate(rows)]
    alive = [left for _, _, left in rows]
    if isinstance(make(), Mixture):  # each of its labels must be there
        samples += [("x", None, "a"), ("y", None, "b")]
        alive += [True, True]
    kept = _kept(make(), samples, alive)
    assert set(kept) <= {samples[k][0] for k in range(len(samples)) if alive[k]}
    order = np.random.default_rng(seed).permutation(len(samples))
    shuffled = _kept(make(), [samples[k] for k in order], [alive[k] for k in order])
    assert shuffled == kept


@pytest.mark.parametrize(
    ("key", "payload", "message"),
    [
        ("top", {"by": "score"}, "either `count` or `fraction`"),
        ("top", {"by": "score", "count": 3, "fraction": 0.5}, "either"),
        ("quantile", {"by": "score"}, "choose nothing"),
        ("quantile", {"by": "score", "low": 0.9, "high": 0.1}, "choose nothing"),
        ("balance", {"by": "label"}, "either `max_per` or `count`"),
        ("balance", {"by": "label", "max_per": 3, "keep_by": "centroid_far"}, "for `dedup`"),
        ("frequency", {"by": "label"}, "chooses nothing"),
        ("mixture", {"by": "label", "weights": {"a": 0}}, "not all 0"),
        ("mixture", {"by": "label", "weights": {"a": -1}}, "0 or more"),
    ],
)
def test_a_step_that_says_nothing_is_refused(key: str, payload: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_step(key, payload, "step 0")


def test_yaml_and_python_say_the_same(tmp_path: Path) -> None:
    import sluice

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "source: {path: in}\nsteps:\n  - top: {by: text_length, count: 5}\n  - quantile: {by: text_length, low: 0.1}\n"
        "  - balance: {by: text_language, max_per: 3}\n  - frequency: {by: text_language, min_count: 2}\n"
        "  - mixture: {by: text_language, weights: {en: 1, de: 1}}\n"
    )
    twin = (
        sluice.read("in")
        .top("text_length", 5)
        .quantile("text_length", 0.1)
        .balance("text_language", 3)
        .frequency("text_language", min_count=2)
        .mixture("text_language", {"en": 1, "de": 1})
    )
    assert load(recipe).steps == twin.recipe().steps


def test_samples_with_several_values_are_refused(tmp_path: Path) -> None:
    table = _table(tmp_path, _scored(1))
    index = json.loads((tmp_path / "index.json").read_text())
    index["max_items"] = {"image": 3}
    column = {
        "name": "score",
        "kind": "number",
        "modality": "image",
        "layout": "list",
        "mark": "m",
        "absent": False,
    }
    index["columns"] = [column]
    (tmp_path / "index.json").write_text(json.dumps(index))
    table = Table(Location(str(tmp_path)))
    with pytest.raises(PlanError, match="up to 3 image items"):
        chosen(Top(by="score", count=1), table, np.ones(1, bool))
