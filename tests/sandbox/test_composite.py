"""Composite metrics: VBench's numbers, missing members, and files that are wrong."""

from pathlib import Path

import pytest

from sluice.errors import RecipeError, UsageError
from sluice.sandbox.experiment import Score
from sluice.sandbox.statistics import Composites

VBENCH = Composites.read("vbench")


def test_vbench_is_shipped_with_its_source() -> None:
    assert VBENCH.about is not None
    assert VBENCH.about.licence == "Apache-2.0"
    assert list(VBENCH.composites) == ["quality", "semantic", "board", "uniform"]
    assert set(VBENCH.better.values()) == {"higher"}
    weights = {name: list(c.of.values()) for name, c in VBENCH.composites.items()}
    assert (len(weights["quality"]), sum(weights["quality"])) == (7, 6.5)
    assert weights["semantic"] == [1] * 9
    assert len(VBENCH.ranges) == 16


def test_dimensions_are_brought_to_their_range_and_weighed() -> None:
    top = {name: high for name, (_, high) in VBENCH.ranges.items()}
    assert VBENCH.of(top) == pytest.approx({"quality": 1, "semantic": 1, "board": 1, "uniform": 1})
    low = {name: low for name, (low, _) in VBENCH.ranges.items()}
    found = VBENCH.of(low | {"dynamic_degree": 1.0, "scene": 0.8222})
    assert found["quality"] == pytest.approx(0.5 / 6.5)
    assert found["semantic"] == pytest.approx(1 / 9)
    assert found["board"] == pytest.approx((4 * 0.5 / 6.5 + 1 / 9) / 5)


def test_the_board_follows_from_its_two_halves() -> None:
    found = VBENCH.of({"quality": 83.14, "semantic": 77.93})
    assert found["board"] == pytest.approx(82.10, abs=0.01)
    assert found["uniform"] == pytest.approx(80.535)


def test_runs_get_composites_or_the_reason_why_not() -> None:
    mix = Composites.loads("composites: {mean: {of: {a: 1, b: 3}}, twice: {of: {mean: 1}}}")
    scores = [Score("x", 1, "a", 1.0), Score("x", 1, "b", 2.0), Score("y", 1, "a", None, "crashed")]
    found = {(s.arm, s.metric): (s.value, s.reason) for s in mix.scores(scores)}
    assert found["x", "mean"] == found["x", "twice"] == (1.75, "")
    assert found["y", "mean"] == (None, "a: crashed")
    assert found["y", "twice"] == (None, "mean: no score")
    given = mix.scores([Score("x", 1, "mean", 5.0)])
    assert [(s.metric, s.value) for s in given] == [("twice", 5.0)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "are a mapping"),
        ("composites: {}", "composites"),
        ("composites: {m: {of: {a: -1}}}", "> 0"),
        ("composites: {m: {of: {a: 1}, weights: 2}}", "weights"),
        ("ranges: {a: [1, 1]}\ncomposites: {m: {of: {a: 1}}}", "range of a is 1 to 1"),
        ("composites: {m: {of: {n: 1}}, n: {of: {a: 1}}}", "uses n, which is not above it"),
    ],
)
def test_wrong_files_are_told(text: str, told: str) -> None:
    with pytest.raises(RecipeError, match=r"c\.yaml") as wrong:
        Composites.loads(text, "c.yaml")
    assert told in str(wrong.value)


def test_unknown_names_are_told_and_files_are_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file 'vbenhc'") as wrong:
        Composites.read("vbenhc")
    assert "`vbench`" in wrong.value.fix
    (tmp_path / "own.yaml").write_text("composites: {m: {of: {a: 1}}}")
    assert Composites.read(str(tmp_path / "own.yaml")).of({"a": 2.0}) == {"m": 2.0}
