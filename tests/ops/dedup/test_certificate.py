"""Recall certificates: the bound is Clopper and Pearson's, and what is missed is seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ops.dedup.certificate import certify, recall_bound
from sluice.ops.dedup.cosine import cosine
from sluice.ops.dedup.products import BlasProducts
from sluice.ops.dedup.vectors import Vectors, directions


def test_known_bounds() -> None:
    assert recall_bound(0, 299) == pytest.approx(0.05 ** (1 / 299))
    assert recall_bound(0, 299) >= 0.99 > recall_bound(0, 298)
    # Beta quantiles: scipy.stats.beta.ppf(0.05, 99, 2) and (0.05, 91, 10)
    assert recall_bound(1, 100) == pytest.approx(0.9534402, abs=1e-6)
    assert recall_bound(9, 100) == pytest.approx(0.8482046, abs=1e-6)
    assert (recall_bound(0, 0), recall_bound(5, 5)) == (0.0, 0.0)


@given(st.integers(1, 400), st.data())
def test_at_the_bound_so_few_misses_are_just_likely_enough(trials: int, data: st.DataObject) -> None:
    missed = data.draw(st.integers(0, trials - 1))
    miss = 1 - recall_bound(missed, trials)
    chance = sum(math.comb(trials, i) * miss**i * (1 - miss) ** (trials - i) for i in range(missed + 1))
    assert chance == pytest.approx(0.05, abs=1e-6)


def test_what_is_missed_is_counted() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 16)).astype(np.float32)
    vectors[300:] = vectors[:300] + rng.normal(size=(300, 16)).astype(np.float32) * 0.01
    of = directions(Vectors(vectors))
    pairs = cosine(vectors, similarity=0.99)
    assert len(pairs) == 300

    def certified(left_out: int) -> dict[str, float]:
        kept = pairs.a[left_out:], pairs.b[left_out:]
        return certify(of, of.distinct, 0.99, kept, BlasProducts(), trials=300)

    whole = certified(0)
    assert (whole["queries"], whole["trials"], whole["missed"]) == (600, 600, 0)
    assert whole["recall_at_least"] == round(recall_bound(0, 600), 5)
    assert (certified(7)["missed"], certified(300)["missed"]) == (14, 600)
    assert certified(300)["recall_at_least"] == 0


def test_where_nothing_has_a_neighbour_nothing_is_certified() -> None:
    found = cosine(np.eye(40, dtype=np.float32), similarity=0.5, exact_below=0)
    assert found.facts["certificate"]["queries"] == 40
    assert (found.facts["certificate"]["trials"], found.facts["certificate"]["recall_at_least"]) == (0, 0.0)
