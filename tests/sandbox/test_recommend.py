"""Recommendations: pairs against triples, intervals that hold for the arm picked, recipes that choose its data."""

from __future__ import annotations

from pathlib import Path

import loop_data
import numpy as np
import pytest

from sluice.errors import UsageError
from sluice.recipe import load
from sluice.recipe.lock import Lock
from sluice.run import run
from sluice.sandbox.experiment import Score, score_table
from sluice.sandbox.hooks.pools import pools, read_pools
from sluice.sandbox.hooks.propose_recipes import propose_recipes
from sluice.sandbox.pools import Pool
from sluice.sandbox.pools.measures import measures_of_run
from sluice.sandbox.proposal import rule_of, write_proposal
from sluice.sandbox.recommend import recommend
from sluice.sandbox.statistics import Comparison, compare
from sluice.sandbox.workflow.job import Job
from sluice.storage import Location
from sluice.store.opened import Run


def scored(gains: dict[str, float], noise: float = 0.01, seeds: int = 6, seed: int = 0) -> list[Score]:
    rng = np.random.default_rng(seed)
    return [
        Score(arm, s, "recall", 1 + gain + noise * float(rng.normal()))
        for arm, gain in {"control": 0.0, **gains}.items()
        for s in range(seeds)
    ]


def compared(scores: list[Score]) -> list[Comparison]:
    return compare(scores, better={"recall": "higher"})


def published(arm: str, mean: float) -> Comparison:
    return Comparison(arm, "change", "higher", (42, 45), mean=mean, p=0.01, verdict="better")


def test_the_papers_pair_is_kept_against_its_triple() -> None:
    pair, triple = published("a-high+b-low", 2.48), published("a-high+b-low+c-high", 1.88)
    found = recommend([triple, pair], "change")
    assert found.arm == "a-high+b-low"
    assert found.conditions == ("a-high", "b-low")
    assert "a-high+b-low is kept: a-high+b-low+c-high gains no more (1.88 against 2.48)" in found.steps


def test_more_conditions_must_be_better_than_fewer() -> None:
    scores = scored({"a-high": 0.5, "b-low": 0.4, "a-high+b-low": 0.505, "a-high+b-low+c-mid": 0.9})
    found = recommend(compared(scores), "recall", scores=scores)
    assert found.arm == "a-high+b-low+c-mid"
    assert any("a-high is kept: a-high+b-low cannot be told apart from it" in step for step in found.steps)
    assert any("is taken: it is better than a-high too" in step for step in found.steps)
    blind = recommend(compared(scores), "recall")
    assert blind.arm == "a-high"
    assert any("without scores" in step for step in blind.steps)


def test_what_is_combined_can_be_limited_and_what_was_not_measured_is_said() -> None:
    scores = scored({"a-high": 0.5, "b-low": 0.4, "c-mid": 0.9, "my-mixture": 3.0})
    found = recommend(compared(scores), "recall", scores=scores, among=["a-high", "b-low"])
    assert found.arm == "a-high"
    assert any("a-high+b-low was not measured" in step for step in found.steps)
    assert recommend(compared(scores), "recall").arm == "c-mid"


def test_where_nothing_is_better_the_data_stays_as_it_is() -> None:
    scores = scored({"a-high": 0.0, "b-low": 0.001, "c-mid": -0.5})
    found = recommend(compared(scores), "recall")
    assert (found.arm, found.conditions, found.gain, found.low) == (None, (), None, None)
    assert found.not_distinguishable == ("a-high", "b-low")
    assert "keep the data as it is" in found.steps[0]


def test_the_interval_holds_for_the_arm_that_was_picked() -> None:
    """Of 12 equally good arms the best looking is picked; its own interval is flattered, the common one is not."""
    truth, alone, together, picked = 0.3, 0, 0, 0
    for seed in range(400):
        gains = dict.fromkeys((f"m{n}-high" for n in range(12)), truth)
        found = compared(scored(gains, noise=0.1, seeds=8, seed=seed))
        chosen = recommend(found, "recall")
        if chosen.low is None or chosen.high is None:
            continue
        own = next(c for c in found if c.arm == chosen.arm)
        picked += 1
        alone += own.low <= truth <= own.high  # type: ignore[operator]
        together += chosen.low <= truth <= chosen.high
    assert picked > 300
    assert together / picked >= 0.94
    assert alone / picked < 0.9


def test_lower_is_better_too() -> None:
    scores = [
        Score(s.arm, s.seed, "loss", 5 - (s.value or 0)) for s in scored({"a-high": 0.5, "b-low": -0.5})
    ]
    found = recommend(compare(scores, better={"loss": "lower"}), "loss")
    assert found.arm == "a-high"
    assert found.gain == pytest.approx(0.5, abs=0.05)
    assert found.low is not None
    assert 0 < found.low < found.gain


# Recipes


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loop_data.captioned_run(tmp_path_factory.mktemp("recommend"))


def drawn(folder: Path, measured: Path, **settings: object) -> Path:
    folder.mkdir()
    return Path(pools(Job("pools", folder), run=str(measured), **settings)["pools"])  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["low", "mid", "high"])
def test_the_proposed_recipe_keeps_what_the_third_holds(measured: Path, tmp_path: Path, part: str) -> None:
    folder = drawn(tmp_path / "pools", measured, measures=("image_width_px",))
    scores = scored({f"image_width_px-{part}": 0.5})
    given = propose_recipes(
        Job("p", tmp_path), folder, [c.row() for c in compared(scores)], score_table(scores)
    )
    path = given["recipes"] / "recipe.yaml"
    assert path.read_text().startswith("# Expected gain in recall: 0.4986 (0.4869 to 0.5103), +49.81 %")
    recipe = load(path)
    done = run(recipe, output=str(tmp_path / "out"), workers=0, quiet=True)
    kept = measures_of_run(str(tmp_path / "out"), ["image_width_px"]).ids.to_pylist()
    assert set(kept) == set(read_pools(folder)[f"image_width_px-{part}"].ids.to_pylist())
    assert done["kept"] == 8
    lock = Lock.read(Location(given["recipes"] / "recipe.lock.yaml"))
    assert lock == Run.open(str(tmp_path / "out")).lock
    assert given["recommendation"]["arm"] == f"image_width_px-{part}"


def test_conditions_that_only_met_others_have_their_cuts_too(measured: Path, tmp_path: Path) -> None:
    conditions = ("image_width_px-high", "image_width_px-mid")
    folder = drawn(tmp_path / "pools", measured, conditions=conditions)
    found = recommend(compared(scored({"image_width_px-high": 0.5})), "recall")
    recipe = load(write_proposal(found, Pool.origins(folder), tmp_path / "r"))
    assert str(recipe.to_data()["steps"][-1]).count("image_width_px > ") == 1


def test_a_recipe_of_nothing_found_is_the_runs_own(measured: Path, tmp_path: Path) -> None:
    folder = drawn(tmp_path / "pools", measured, measures=("image_width_px",))
    path = write_proposal(
        recommend(compared(scored({"image_width_px-low": 0.0})), "recall"),
        Pool.origins(folder),
        tmp_path / "r",
    )
    assert load(path).to_data() == Run.open(str(measured)).recipe.to_data()
    assert path.read_text().startswith("# no arm that a recipe can choose")
    assert "# Not distinguishable from the control: image_width_px-low" in path.read_text()


def test_pools_of_tables_and_unknown_cuts_are_errors(tmp_path: Path) -> None:
    found = recommend(compared(scored({"m-low": 0.5})), "recall")
    with pytest.raises(UsageError, match="drawn from a table"):
        write_proposal(found, {"m-low": {"kind": "single", "run": None}}, tmp_path)
    with pytest.raises(UsageError, match="where m was cut"):
        rule_of("m", "low", {}, set())
    assert rule_of("m", "null", {}, set()) == "m is null"
    assert rule_of("m", "mid", {"m": (0.1, 2.0)}, {"m"}) == "mean(m) > 0.1 and mean(m) <= 2"


def test_arms_that_were_stopped_early_count_in_the_interval() -> None:
    scores = scored({"a-high": 0.5, "b-low": 0.1, "c-mid": 0.1})
    whole = recommend(compared(scores), "recall")
    stopped = compare(scores, better={"recall": "higher"}, stopped=["b-low", "c-mid"])
    found = recommend(stopped, "recall")
    assert found.arm == whole.arm == "a-high"
    assert (found.low, found.high) == (whole.low, whole.high)
