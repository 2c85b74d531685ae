"""Operators: ranked where something is known, chosen by evidence or as candidates, clustered by what they measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from sluice.errors import UsageError
from sluice.sandbox.analysis import correlation_table, correlations
from sluice.sandbox.experiment import Score
from sluice.sandbox.hooks.analyze_data import analyze_data
from sluice.sandbox.hooks.cluster_operators import cluster_operators
from sluice.sandbox.hooks.rank_operators import rank_operators
from sluice.sandbox.operators import conditions_of, operators, top
from sluice.sandbox.registry import registry
from sluice.sandbox.statistics import Comparison, compare
from sluice.sandbox.workflow.job import Job

NOISE = [0.1, -0.1, 0.05, -0.06, 0.02]


def compared(gains: dict[str, float], metrics: tuple[str, ...] = ("recall",)) -> list[Comparison]:
    rng = np.random.default_rng(0)
    scores = [
        Score(arm, seed, metric, 1 + gain + 0.01 * float(rng.normal()))
        for metric in metrics
        for arm, gain in {"control": 0.0, **gains}.items()
        for seed in range(6)
    ]
    return compare(scores, better=dict.fromkeys(metrics, "higher"))


GAINS = {
    "sharp-low": -0.5,
    "sharp-mid": 0.3,
    "sharp-high": 0.6,
    "words-low": 0.9,
    "words-mid": 0.0,
    "words-high": -0.2,
    "dull-low": 0.0,
    "dull-mid": 0.001,
    "dull-high": 0.0,
    "sharp-high+words-low": 1.5,
    "my-mixture": 0.7,
}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("j", tmp_path)


def test_names_of_arms_say_their_conditions() -> None:
    assert conditions_of("a-b-high+c-null") == (("a-b", "high"), ("c", "null"))
    for other in ("control", "random-2", "a-high+mixture", "-low", "repeat-2x"):
        assert conditions_of(other) == ()


def test_operators_are_ranked_by_their_best_third_where_one_is_better() -> None:
    found = operators(compared(GAINS), "recall")
    assert [(o.measure, o.rank, o.best and o.best.arm) for o in found][:2] == [
        ("words", 1, "words-low"),
        ("sharp", 2, "sharp-high"),
    ]
    assert (found[2].measure, found[2].rank) == ("dull", None)
    assert list(found[1].thirds) == ["low", "mid", "high"]
    assert [c.arm for c in top(found, 3)] == ["words-low", "sharp-high"]
    assert len(top(found, 3, sure=False)) == 3
    assert [c.arm for c in top(found, 1)] == ["words-low"]


def test_an_operator_without_a_value_is_last_and_never_chosen() -> None:
    none = [Comparison("lost-low", "recall", "higher", why="no seed has a value")]
    found = operators([*compared(GAINS), *none], "recall")
    lost = next(o for o in found if o.measure == "lost")
    assert (lost.rank, lost.best) == (None, None)
    assert lost.row()["verdict"] == "no verdict"
    assert all(c.arm != "lost-low" for c in top(found, 9, sure=False))


def rows(gains: dict[str, float], *metrics: str) -> list[dict[str, Any]]:
    return [c.row() for c in compared(gains, metrics or ("recall",))]


def test_the_hook_says_how_many_are_known(job: Job) -> None:
    found = rank_operators(job, rows(GAINS), k=3)["ranking"]
    assert found["chosen"] == ["words-low", "sharp-high"]
    assert "2 of 3 operators" in found["note"]
    filled = rank_operators(job, rows(GAINS), k=3, sure=False)["ranking"]
    assert "by mean effect alone: dull-" in filled["note"]
    with pytest.raises(UsageError, match="was not compared"):
        rank_operators(job, rows(GAINS), metric="recal")
    with pytest.raises(UsageError, match="nothing was compared"):
        rank_operators(job, [])


def test_the_best_of_each_cluster_is_chosen(job: Job) -> None:
    rng = np.random.default_rng(1)
    sharp = rng.normal(size=200)
    columns = {"sharp": sharp, "words": -sharp + 0.1 * rng.normal(size=200), "dull": rng.normal(size=200)}
    table = correlation_table(correlations(columns))
    found = cluster_operators(job, rows(GAINS), table)["clusters"]
    assert {frozenset(c) for c in found["clusters"]} == {frozenset(["sharp", "words"]), frozenset(["dull"])}
    assert found["chosen"] == ["words-low"]
    assert (found["of"], found["distance"], found["linkage"]) == ("measures", "1 - |r|", "average")
    apart = cluster_operators(job, rows(GAINS), table, distance="1 - r")["clusters"]
    assert apart["chosen"] == ["words-low", "sharp-high"]
    with pytest.raises(UsageError, match="no correlation of 'dull'"):
        cluster_operators(
            job, rows(GAINS), correlation_table(correlations({k: columns[k] for k in ("sharp", "words")}))
        )


def test_operators_are_clustered_by_their_gains_where_nothing_is_known_of_the_data(job: Job) -> None:
    alike = {f"twin-{part}": GAINS[f"sharp-{part}"] * 0.9 for part in ("low", "mid", "high")}
    found = cluster_operators(job, rows(GAINS | alike, "recall", "bleu"))["clusters"]
    assert found["of"] == "gains"
    assert any(set(c) >= {"sharp", "twin"} for c in found["clusters"])


def test_analysis_of_a_table(job: Job, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = [xxhash.xxh3_128_hexdigest(str(n).encode()) for n in range(100)]
    values = rng.normal(size=100)
    values[7] = 90.0
    pq.write_table(
        pa.table({"id": ids, "a": values, "b": 2 * values, "c": np.ones(100)}), tmp_path / "t.parquet"
    )
    found = analyze_data(job, measures=("a", "b", "c"), table=str(tmp_path / "t.parquet"))
    assert found["analysis"].column("above").to_pylist() == [1, 1, 0]
    assert found["analysis"].column("note").to_pylist() == [None, None, "all values are 1"]
    assert found["correlations"].column("pearson").to_pylist() == [pytest.approx(1), None, None]
    assert found["outliers"].to_pylist()[0] == {"measure": "a", "id": ids[7], "value": 90.0}
    with pytest.raises(UsageError, match="nothing to look at"):
        analyze_data(job, measures=("a",))


def test_the_hooks_are_found() -> None:
    assert {"analyze_data", "rank_operators", "cluster_operators"} <= set(registry().names("hook"))
