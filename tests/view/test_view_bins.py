"""Histograms: every value in exactly one bin, and the cut on an edge."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice.view.bins import Histogram, Wanted, categories, histograms
from sluice.view.source import Atom, cuts

numbers = st.one_of(
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: float(f"{v:.6g}")),
    st.integers(0, 30).map(float),
    st.sampled_from([0.0, 0.0, math.nan, math.inf]),
    st.floats(1e-3, 1e9).map(lambda v: float(f"{v:.6g}")),
    st.none(),
)


class Columns:
    """The two views over columns given by a test."""

    def __init__(
        self, values: list[Any], fates: list[str] | None = None, kind: pa.DataType | None = None
    ) -> None:
        n = len(values)
        self.summary = {"read": n}
        self.connection = duckdb.connect()
        self.connection.register("samples", pa.table({"ordinal": range(n), "v x": pa.array(values, kind)}))
        fates = fates or ["kept"] * n
        rules = [None if f == "kept" else "cut" for f in fates]
        self.connection.register(
            "fates", pa.table({"ordinal": range(n), "fate": fates, "rule": pa.array(rules, pa.string())})
        )

    def query(self, sql: str, *params: Any) -> pa.Table:
        return self.connection.sql(sql, params=list(params)).to_arrow_table()


def measured(values: list[Any], *atoms: Atom, fates: list[str] | None = None) -> Histogram | None:
    columns: Any = Columns(values, fates, pa.float64())
    return histograms(columns, [Wanted("v x", "DOUBLE", "cut", atoms)])[0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(numbers, min_size=1, max_size=40),
    st.one_of(st.none(), st.floats(-100, 1000)),
    st.sampled_from(["<=", ">="]),
)
@example([0.0, 0.0, 1.0, 3.0, 5e-324], 1.0, "<=")  # the least that a float can be, on a logarithmic axis
def test_every_value_is_in_one_bin(values: list[float | None], bound: float | None, op: str) -> None:
    finite = [v for v in values if v is not None and math.isfinite(v)]
    found = measured(values, *([Atom("v x", op, bound, None)] if bound is not None else []))
    if found is None:
        assert not finite
        return
    zero = found.zero.total if found.zero else 0
    assert sum(b.total for b in found.bins) + zero == len(finite)
    assert found.nulls == len(values) - len(finite)
    assert len(found.bins) <= 100
    for left, right in zip(found.bins, found.bins[1:], strict=False):
        assert left.high == pytest.approx(right.low)
    for value in finite:
        assert 0 <= found.scale.position(value) <= 100 if value > 0 or not found.scale.log else True


@pytest.mark.parametrize(
    ("op", "passing"), [(">=", [5, 6, 7]), (">", [6, 7]), ("<=", [3, 4, 5]), ("<", [3, 4])]
)
def test_the_cut_parts_the_bins_as_the_rule_parts_the_values(op: str, passing: list[int]) -> None:
    values = [3.0, 4.0, 5.0, 6.0, 7.0]
    fates = ["kept" if v in passing else "dropped" for v in values]
    found = measured(values, Atom("v x", op, 5.0, None), fates=fates)
    assert found is not None
    assert any(b.low == pytest.approx(5) or b.high == pytest.approx(5) for b in found.bins)
    rising = op in (">=", ">")
    for b in found.bins:
        beyond = b.high <= 5.001 if rising else b.low >= 4.999
        assert (b.here if beyond else b.kept) == b.total


def test_heavy_tails_go_on_a_logarithmic_axis_and_keep_their_zeros() -> None:
    found = measured([0.0, 0.0] + [float(10**k) for k in range(7)] * 3)
    assert found is not None
    assert found.scale.log
    assert found.zero is not None
    assert found.zero.total == 2


def test_a_few_far_values_are_counted_at_the_edge_and_said() -> None:
    values = [float(v) for v in range(-50, 950)] + [90_000.5]
    found = measured(values)
    assert found is not None
    assert not found.scale.log
    assert found.above >= 1
    assert sum(b.total for b in found.bins) == len(values)


def test_many_zeros_stand_apart() -> None:
    found = measured([0.0] * 50 + [0.2, 0.4, 0.9], Atom("v x", "<=", 0.5, None))
    assert found is not None
    assert found.zero is not None
    assert found.zero.total == 50
    assert not found.scale.log


def test_lists_are_counted_item_by_item() -> None:
    columns: Any = Columns([[1.0, 2.0], [], None, [3.0]], kind=pa.list_(pa.float64()))
    both = [Wanted("v x", "DOUBLE[]", "cut"), Wanted("ordinal", "BIGINT", "cut")]
    found, ordinals = histograms(columns, both)
    assert ordinals is not None
    assert sum(b.total for b in ordinals.bins) == 4
    assert found is not None
    assert sum(b.total for b in found.bins) == 3


def test_words_are_counted_by_value() -> None:
    columns: Any = Columns(["b", "a", "b", None], ["kept", "dropped", "dropped", "kept"], pa.string())
    assert [(c.value, c.kept, c.here, c.elsewhere) for c in categories(columns, "v x", "cut")] == [
        ("b", 1, 1, 0),
        ("a", 0, 1, 0),
    ]


def test_a_between_draws_two_lines() -> None:
    atoms = [Atom("f", "between", 10.0, None, 245.0)]
    assert cuts(atoms) == [(">=", 10.0), ("<=", 245.0)]


def test_shares_that_are_all_0_or_1_are_not_binned_as_whole_numbers() -> None:
    found = measured([0.0, 0.0, 1.0], Atom("v x", "<=", 0.9, None))
    assert found is not None
    assert found.bins[-1].high < 1.1
