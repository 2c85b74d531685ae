"""Analysis of measures: known answers, intervals that cover, and measures that say nothing."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from sluice.errors import UsageError
from sluice.sandbox.analysis import (
    CORRELATIONS,
    DISTRIBUTIONS,
    cluster,
    correlation_table,
    correlations,
    distribution,
    extremes,
)

NAN = float("nan")


def drawn(n: int, r: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, r * x + np.sqrt(1 - r * r) * rng.normal(size=n)


def test_a_distribution_is_told_with_its_outliers() -> None:
    values = np.array([*range(100), 500.0, -450.0, 350.0, NAN, NAN])
    found = distribution("m", values)
    assert (found.values, found.nulls, found.least, found.greatest) == (103, 2, -450, 500)
    have = values[~np.isnan(values)]
    assert found.quantiles == pytest.approx(np.quantile(have, [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]))
    assert found.sd == pytest.approx(have.std(ddof=1))
    lower, upper = found.quantiles[2], found.quantiles[4]
    assert (found.low_fence, found.high_fence) == pytest.approx(
        (4 * lower - 3 * upper, 4 * upper - 3 * lower)
    )
    assert (found.below, found.above) == (1, 2)
    assert extremes(found, values).tolist() == [101, 100, 102]
    assert extremes(found, values, most=1).tolist() == [101]
    assert set(found.row()) == set(DISTRIBUTIONS.names)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([], "no sample has a value"),
        ([NAN, NAN], "no sample has a value"),
        ([2.0, 2.0, NAN], "all values are 2"),
        ([3.0], "all values are 3"),
        ([1.0, 2.0, 2.0, 2.0, 2.0, 9.0], "half of the values are equal"),
    ],
)
def test_what_cannot_be_told_of_a_distribution_is_said(values: list[float], note: str) -> None:
    found = distribution("m", np.array(values))
    assert note in found.note
    assert (found.low_fence, found.above) == (None, 0)
    assert len(extremes(found, np.array(values))) == 0
    assert pa.Table.from_pylist([found.row()], schema=DISTRIBUTIONS).num_rows == 1


def test_correlations_are_those_of_numpy_and_scipy_over_the_samples_that_have_both() -> None:
    x, y = drawn(200, 0.6)
    ties = np.round(y)
    x[:20] = NAN
    ties[190:] = NAN
    (found,) = correlations({"x": x, "t": ties})
    both = slice(20, 190)
    assert found.n == 170
    assert found.pearson == pytest.approx(np.corrcoef(x[both], ties[both])[0, 1])
    assert found.spearman == pytest.approx(spearmanr(x[both], ties[both]).statistic)
    assert correlation_table([found]).schema == CORRELATIONS


@pytest.mark.parametrize("by", ["fisher", "bootstrap"])
def test_intervals_cover_the_truth_as_often_as_they_say(by: str) -> None:
    """Of many samples of 40 pairs with r = 0.5 about 95 % have an interval that holds 0.5."""
    tries = 300 if by == "fisher" else 100
    hits = 0
    for seed in range(tries):
        x, y = drawn(40, 0.5, seed)
        (found,) = correlations({"x": x, "y": y}, by=by)  # type: ignore[arg-type]
        hits += found.pearson_low <= 0.5 <= found.pearson_high  # type: ignore[operator]
    assert hits / tries == pytest.approx(0.95, abs=0.04 if by == "fisher" else 0.06)


def test_intervals_of_spearman_by_z_are_near_those_of_the_bootstrap() -> None:
    x, y = drawn(400, 0.7)
    (by_z,), (again,) = correlations({"x": x, "y": y}), correlations({"x": x, "y": y}, by="bootstrap")
    assert (by_z.spearman_low, by_z.spearman_high) == pytest.approx(
        (again.spearman_low, again.spearman_high), abs=0.03
    )
    assert correlations({"x": x, "y": y}, by="bootstrap") == [again]


def test_what_has_no_correlation_says_why() -> None:
    x = np.arange(5.0)
    columns = {"x": x, "flat": np.ones(5), "none": np.full(5, NAN), "three": np.array([1, 2, 4, NAN, NAN])}
    notes = {(c.a, c.b): (c.pearson, c.note) for c in correlations(columns)}
    assert notes["x", "flat"] == (None, "flat is constant")
    assert notes["x", "none"] == (None, "0 samples have both")
    assert notes["x", "three"] == (pytest.approx(0.982, abs=1e-3), "3 samples have no interval")
    (same,) = correlations({"x": x, "y": 2 * x})
    assert (same.pearson, same.pearson_low, same.pearson_high) == (1, 1, 1)
    assert correlations({}) == correlations({"x": x}) == []


def test_values_of_any_size_correlate() -> None:
    x, y = drawn(50, 0.5)
    (plain,), (huge,) = correlations({"x": x, "y": y}), correlations({"x": 1e200 * x, "y": 1e-200 * y})
    assert huge.pearson == pytest.approx(plain.pearson)


def test_large_tables_are_drawn_from() -> None:
    x, y = drawn(20_000, 0.5)
    (some,), (again,) = (correlations({"x": x, "y": y}, most=5_000) for _ in range(2))
    assert some == again
    assert some.n == 5_000
    assert some.pearson == pytest.approx(0.5, abs=0.05)


def correlation_of(columns: dict[str, NDArray[np.float64]]) -> dict[tuple[str, str], float | None]:
    return {(c.a, c.b): c.pearson for c in correlations(columns)}


def test_measures_that_say_the_same_are_one_cluster() -> None:
    a, b = drawn(300, 0.95, 1)
    c, d = drawn(300, 0.9, 2)
    r = correlation_of({"a": a, "c": c, "b": b, "d": -d, "flat": np.ones(300)})
    found = cluster(["a", "c", "b", "d", "flat"], r)
    assert {frozenset(group) for group in found.clusters} == {
        frozenset("ab"),
        frozenset("cd"),
        frozenset(["flat"]),
    }
    assert sorted(found.order) == ["a", "b", "c", "d", "flat"]
    assert abs(found.order.index("a") - found.order.index("b")) == 1
    assert found.alone == {"flat": "has no correlation with a, c, b"}
    assert [merge[3] for merge in found.merges] == [2, 2, 4]
    assert (found.distance, found.linkage) == ("1 - |r|", "average")
    # By 1 - r, opposites are far apart.
    apart = cluster(list("abcd"), r, distance="1 - r")
    assert {frozenset(group) for group in apart.clusters} == {frozenset("ab"), frozenset("c"), frozenset("d")}
    assert len(cluster(list("abcd"), r, count=1).clusters) == 1


def test_few_names_and_wrong_counts() -> None:
    assert cluster(["a"], {}).clusters == (("a",),)
    assert cluster(["a", "b"], {("a", "b"): None}).clusters == (("a",), ("b",))
    assert cluster([], {}).clusters == ()
    with pytest.raises(UsageError, match="0 clusters"):
        cluster(["a", "b"], {("a", "b"): 0.5}, count=0)


def test_linkages_differ_where_they_should() -> None:
    """A chain a-b-c: single linkage joins it at 0.3, complete linkage only at 0.8."""
    r = dict(zip(combinations("abc", 2), [0.7, 0.2, 0.7], strict=True))
    assert len(cluster(list("abc"), r, linkage="single", cut=0.5).clusters) == 1
    assert len(cluster(list("abc"), r, linkage="complete", cut=0.5).clusters) == 2
