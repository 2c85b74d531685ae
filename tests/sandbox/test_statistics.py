"""Statistics: known answers, honest error rates over simulated experiments, and all that can be missing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ttest_rel

from sluice.errors import UsageError
from sluice.sandbox.experiment import Score
from sluice.sandbox.statistics import (
    Comparison,
    Unpaired,
    adjusted,
    change_scores,
    compare,
    detectable_effect,
    halving,
    noise_floor,
    order,
    power,
    relative_change,
    rungs,
    seeds_needed,
    summary_p_value,
)

HIGHER = {"recall": "higher"}
ALPHA_63 = 0.05 / 63


def scores_of(arms: dict[str, Sequence[float | None]], metric: str = "recall") -> list[Score]:
    return [
        Score(arm, seed, metric, value, "" if value is not None else "crashed: exit code 1")
        for arm, values in arms.items()
        for seed, value in enumerate(values)
    ]


def only(arms: dict[str, Sequence[float | None]], **settings: object) -> Comparison:
    (found,) = compare(scores_of(arms), better=HIGHER, **settings)  # type: ignore[arg-type]
    return found


# What is computed


def test_relative_change_is_a_ratio_of_sums_not_a_mean_of_ratios() -> None:
    assert 100 * relative_change((83.14, 77.93), (82.57, 74.76)) == pytest.approx(2.377, abs=5e-4)
    mean_of_ratios = 100 * np.mean([83.14 / 82.57 - 1, 77.93 / 74.76 - 1])
    assert mean_of_ratios == pytest.approx(2.465, abs=5e-4)
    for values, before in (((1.0,), (1.0, 2.0)), ((), ()), ((1.0,), (0.0,)), ((float("nan"),), (1.0,))):
        with pytest.raises(UsageError):
            relative_change(values, before)


def test_a_comparison_is_the_paired_t_test() -> None:
    arm, control = [1.2, 1.9, 3.4, 4.1], [1.0, 2.0, 3.0, 3.5]
    found = only({"arm": arm, "control": control})
    differences = np.subtract(arm, control)
    known = ttest_rel(arm, control)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)))
    assert found.mean == pytest.approx(differences.mean())
    assert found.effect_size == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert found.change == pytest.approx(10.6 / 9.5 - 1)
    assert (found.n, found.verdict, found.why) == (4, "not distinguishable", "")
    assert Comparison.from_row(found.row()) == found


def test_the_permutation_test_tries_every_flip_of_signs() -> None:
    differences = [0.3, -0.1, 0.4, 0.2, 0.5, 0.6]
    found = only({"arm": differences, "control": [0.0] * 6}, test="permutation")
    means = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=6)]
    assert found.p == pytest.approx(np.mean([m >= abs(sum(differences)) - 1e-12 for m in means]))
    few = only({"arm": [0.3, 0.31, 0.32], "control": [0.0] * 3}, test="permutation")
    assert few.p == 0.25
    assert "3 pairs never come below p = 0.25" in few.why
    many = {"arm": list(np.random.default_rng(0).normal(0.5, 1, 30)), "control": [0.0] * 30}
    drawn = only(many, test="permutation")
    assert drawn.p == only(many, test="permutation").p
    assert drawn.p == pytest.approx(only(many).p, abs=0.01)


def test_the_bootstrap_is_seeded_and_near_the_t_interval_where_there_are_many_pairs() -> None:
    arms = {"arm": list(np.random.default_rng(1).normal(0.5, 1, 60)), "control": [0.0] * 60}
    by_t, drawn = only(arms), only(arms, intervals="bootstrap")
    assert (drawn.low, drawn.high) == pytest.approx((by_t.low, by_t.high), abs=0.05)
    assert drawn == only(arms, intervals="bootstrap")
    assert drawn.low != only(arms, intervals="bootstrap", seed=7).low


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None)
def test_corrections(ps: list[float]) -> None:
    assert adjusted(ps, "bh") == pytest.approx(list(false_discovery_control(ps)))
    holm = adjusted(ps, "holm")
    for at, p in enumerate(ps):  # Holm's definition, member by member
        before = [q for q in ps if q <= p]
        steps = [q * (len(ps) - sum(r < q for r in ps)) for q in before]
        assert holm[at] == pytest.approx(min(1.0, max(steps)))
    assert all(h >= b - 1e-12 for h, b in zip(holm, adjusted(ps, "bh"), strict=True))


def test_corrections_count_those_that_have_no_p_value() -> None:
    assert adjusted([0.01, 0.04], "holm", more=2) == pytest.approx([0.04, 0.12])
    assert adjusted([0.01, 0.04], "bh", more=2) == pytest.approx([0.04, 0.08])


def test_p_values_of_published_means() -> None:
    assert summary_p_value(66.38, 32.65, 3) == pytest.approx(0.072, abs=5e-4)
    with pytest.raises(UsageError, match="input error"):
        summary_p_value(0.5, -0.1, 2)
    for sd, n in ((0.0, 3), (1.0, 1)):
        with pytest.raises(UsageError, match="no p-value"):
            summary_p_value(0.5, sd, n)


# What is said, and what is not


def test_verdicts_go_the_way_that_is_better() -> None:
    scores = scores_of({"up": [2.0, 2.1, 2.3, 2.2], "control": [1.0, 1.0, 1.1, 1.3]}, "loss")
    for way, verdict, sign in (("higher", "better", 1), ("lower", "worse", -1)):
        (found,) = compare(scores, better={"loss": way})  # type: ignore[dict-item]
        assert found.verdict == verdict
        assert found.gain == pytest.approx(sign * 1.05)


def test_seeds_without_a_partner_are_said_and_left_out() -> None:
    found = only({"arm": [1.2, None, 1.4, 1.9, 1.3], "control": [1.0, 1.0, None, 1.0]})
    assert found.seeds == (0, 3)
    assert found.unpaired == (
        Unpaired(1, "arm: crashed: exit code 1"),
        Unpaired(2, "control: crashed: exit code 1"),
        Unpaired(4, "control: no run of this seed"),
    )
    assert found.mean == pytest.approx(0.55)
    odd = [Score("arm", 0, "recall", float("nan")), Score("control", 0, "recall", 1.0)]
    (told,) = compare(odd, better=HIGHER)
    assert told.unpaired == (Unpaired(0, "arm: nan is no number"),)
    assert "no seed has a value in both" in told.why


@pytest.mark.parametrize(
    ("values", "why"), [([1.0], "one pair"), ([None, None], "no seed has a value"), ([], "no seed")]
)
def test_fewer_than_two_pairs_have_no_p_value_and_say_why(values: list[float | None], why: str) -> None:
    scores = scores_of({"arm": values, "control": [0.5, 0.5]})
    scores += scores_of({"other": [0.5, 0.4]})
    found = next(c for c in compare(scores, better=HIGHER) if c.metric == "recall")
    if values:
        assert (found.arm, found.verdict, found.p, found.p_adjusted) == ("arm", "no verdict", None, None)
        assert why in found.why


def test_equal_differences_are_no_certainty() -> None:
    """Two seeds of a coarse metric often differ equally; a t-test would divide by 0 and be sure."""
    two = only({"arm": [0.6, 0.7], "control": [0.5, 0.6]})
    assert (two.sd, two.low, two.effect_size, two.p, two.verdict) == (
        0,
        None,
        None,
        0.5,
        "not distinguishable",
    )
    assert "all differences are equal" in two.why
    eight = only({"arm": [0.6 + s / 100 for s in range(8)], "control": [0.5 + s / 100 for s in range(8)]})
    assert (eight.p, eight.verdict) == (2 / 2**8, "better")
    same = only({"arm": [0.1 + 0.2, 0.7], "control": [0.3, 0.7]})
    assert (same.p, same.verdict) == (1.0, "not distinguishable")


def test_what_is_not_distinguishable_is_never_ranked() -> None:
    noise = [[0.1, -0.1, 0.05, -0.06], [0.2, -0.1, 0.1, -0.2], [-0.3, 0.3, 0.2, -0.1]]
    arms = {name: [1 + v for v in values] for name, values in zip("zya", noise, strict=True)}
    far = {f"g{g}": [1 + g + v / 10 for v in noise[0]] for g in (-2, 1, 3)}
    found = order(compare(scores_of({**arms, **far, "control": [1.0] * 4}), better=HIGHER), "recall")
    assert [c.arm for c in found.better] == ["g3", "g1"]
    assert [c.arm for c in found.worse] == ["g-2"]
    assert [c.arm for c in found.not_distinguishable] == ["a", "y", "z"]


def test_what_cannot_be_compared_is_an_error_that_names_it() -> None:
    scores = scores_of({"arm": [1.0, 2.0], "control": [1.0, 1.0]})
    with pytest.raises(UsageError, match="no scores of 'recal'") as wrong:
        compare(scores, better={"recal": "higher"})
    assert "`recall`" in wrong.value.fix
    with pytest.raises(UsageError, match="no arm 'base'"):
        compare(scores, control="base", better=HIGHER)
    with pytest.raises(UsageError, match="twice"):
        compare([*scores, scores[0]], better=HIGHER)


def test_equation_3_over_metrics_is_one_more_metric() -> None:
    scores = scores_of({"arm": [83.14, 84.0], "control": [82.57, 82.0]}, "quality")
    scores += scores_of({"arm": [77.93, None], "control": [74.76, 74.0]}, "semantic")
    found = {(s.arm, s.seed): s for s in change_scores(scores, ["quality", "semantic"])}
    assert found["arm", 0].value == pytest.approx(0.02377, abs=5e-6)
    assert found["arm", 1].value is None
    assert found["arm", 1].reason == "arm: semantic: crashed: exit code 1"
    assert found["control", 1].value == 0


# How sure one can be


def test_power_is_that_of_the_plan() -> None:
    """The figures of the specification: a paired two-sided t-test at 0.05 / 63, differences of SD 0.22."""
    assert power(9, 0.44, 0.22, ALPHA_63) == pytest.approx(0.72, abs=0.005)
    assert power(10, 0.44, 0.22, ALPHA_63) > 0.8
    assert power(6, 0.8, 0.22, ALPHA_63) == pytest.approx(0.80, abs=0.005)
    assert seeds_needed(0.44, 0.22, ALPHA_63) == 10
    assert seeds_needed(0.8, 0.22, ALPHA_63) == 6
    assert detectable_effect(6, 0.22, ALPHA_63) == pytest.approx(0.8, abs=0.001)


@pytest.mark.parametrize(
    ("n", "effect", "alpha"), [(2, 3.0, 0.05), (5, 0.3, 0.05), (9, 0.44, ALPHA_63), (30, 0.1, 0.05)]
)
def test_power_agrees_with_simulation(n: int, effect: float, alpha: float) -> None:
    from scipy.stats import t

    trials = 40_000
    drawn = np.random.default_rng(n).normal(effect, 0.22, (trials, n))
    statistic = np.abs(drawn.mean(1)) / (drawn.std(1, ddof=1) / np.sqrt(n))
    assert power(n, effect, 0.22, alpha) == pytest.approx(
        np.mean(statistic > t.isf(alpha / 2, n - 1)), abs=0.01
    )


def test_power_at_the_ends() -> None:
    assert [power(n, 1.0, 0.1) for n in (0, 1)] == [0, 0]
    assert power(5, 0.0, 0.22) == pytest.approx(0.05, abs=1e-3)
    assert power(5, 0.1, 0.0) == 1
    assert (detectable_effect(1, 0.2), detectable_effect(4, 0.0)) == (None, 0.0)
    with pytest.raises(UsageError, match="seeds do not find"):
        seeds_needed(0.0, 0.22)
    for sd, alpha in ((-0.1, 0.05), (0.1, 0.0)):
        with pytest.raises(UsageError):
            power(5, 0.1, sd, alpha)


def test_the_noise_floor_is_control_against_control() -> None:
    scores = scores_of({"control": [1.0, 1.2, 0.9, None], "control-2": [1.1, 1.2, 1.0, 1.0]})
    (floor,) = noise_floor(scores, ["recall"])
    assert (floor.n, floor.mean) == (3, pytest.approx(1.0333, abs=1e-4))
    assert floor.difference_sd == pytest.approx(np.sqrt(2) * np.std([1.0, 1.2, 0.9], ddof=1))
    (measured,) = noise_floor(scores, ["recall"], again="control-2")
    assert measured.difference_sd == pytest.approx(np.std([0.1, 0.0, 0.1], ddof=1))
    assert measured.again == "control-2"
    assert measured.detectable == detectable_effect(3, measured.difference_sd)
    (none,) = noise_floor(scores[:1], ["recall"])
    assert (none.n, none.sd, none.detectable) == (1, None, None)


# Error rates over whole experiments

EXPERIMENTS, ARMS, SEEDS = 1_000, 6, 8


def simulated(rng: np.random.Generator, gains: dict[str, float]) -> list[Score]:
    """Arms and control share what a seed does to all (SD 1); each run adds noise of its own (SD 0.22 / √2)."""
    shared = rng.normal(50, 1, SEEDS)
    return scores_of(
        {arm: list(shared + gain + rng.normal(0, 0.22 / np.sqrt(2), SEEDS)) for arm, gain in gains.items()}
    )


def test_control_against_control_is_rarely_called_different() -> None:
    """At most 5 % of 1,000 experiments of 6 arms have any verdict, within 3 standard errors of the sampling."""
    rng = np.random.default_rng(2407)
    gains = dict.fromkeys(["control", *map(str, range(ARMS))], 0.0)
    wrong = 0
    for _ in range(EXPERIMENTS):
        found = compare(simulated(rng, gains), better=HIGHER)
        wrong += any(c.verdict in ("better", "worse") for c in found)
    assert wrong / EXPERIMENTS <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / EXPERIMENTS)
    assert wrong  # a test that never says anything would pass too


def test_true_differences_are_found_as_often_as_planned() -> None:
    """Power within 5 points of `power()`: one arm of 6 is better, at Holm's first step of 0.05 / 6."""
    rng = np.random.default_rng(11784)
    gains = {"control": 0.0, "good": 0.4} | dict.fromkeys(map(str, range(ARMS - 1)), 0.0)
    hits = 0
    for _ in range(EXPERIMENTS):
        found = compare(simulated(rng, gains), better=HIGHER)
        hits += next(c.verdict for c in found if c.arm == "good") == "better"
    assert hits / EXPERIMENTS == pytest.approx(power(SEEDS, 0.4, 0.22, 0.05 / ARMS), abs=0.05)


def test_rungs_end_with_all_seeds() -> None:
    found = rungs(63, 12)
    assert [(r.arms, r.seeds) for r in found] == [(63, 2), (32, 4), (16, 8), (8, 12)]
    assert [(r.arms, r.seeds) for r in rungs(1, 3, first=3)] == [(1, 3)]
    with pytest.raises(UsageError, match="make no rungs"):
        rungs(4, 2, first=3)


def halved(rng: np.random.Generator, gains: dict[str, float]) -> tuple[list[Comparison], int]:
    shared = rng.normal(50, 1, SEEDS)

    def measure(arms: Sequence[str], seeds: Sequence[int]) -> list[Score]:
        noise = rng.normal(0, 0.22 / np.sqrt(2), (len(arms), len(seeds)))
        return [
            Score(arm, seed, "recall", float(shared[seed] + gains[arm] + noise[a, s]))
            for a, arm in enumerate(arms)
            for s, seed in enumerate(seeds)
        ]

    arms = [arm for arm in gains if arm != "control"]
    done = halving(measure, arms, range(SEEDS), metric="recall", better="higher")
    return list(done.comparisons), done.saved


def test_halving_finds_the_best_and_saves_runs() -> None:
    gains = {"control": 0.0, "best": 1.0} | dict.fromkeys(map(str, range(15)), 0.0)
    found, saved = halved(np.random.default_rng(0), gains)
    assert len(found) == 16
    assert [c.arm for c in found if c.verdict == "better"] == ["best"]
    stopped = [c for c in found if c.why.startswith("stopped after")]
    assert len(stopped) == 12
    assert all(c.verdict == "no verdict" and c.p is None for c in stopped)
    assert saved == 17 * 8 - (17 * 2 + 9 * 2 + 5 * 4)


@pytest.mark.slow
def test_halving_keeps_its_error_rate_and_naive_halving_does_not() -> None:
    """Of 32 arms like the control, "better" is said in at most alpha / 2 of the experiments (the other is "worse")."""
    rng = np.random.default_rng(42)
    gains = dict.fromkeys(["control", *map(str, range(32))], 0.0)
    wrong = naive = 0
    for _ in range(EXPERIMENTS):
        found, _ = halved(rng, gains)
        finalists = [c for c in found if c.p is not None]
        wrong += any(c.verdict == "better" for c in found)
        alone = zip(finalists, _alone(finalists), strict=True)
        naive += any(p <= 0.05 and (c.gain or 0) > 0 for c, p in alone)
    bound = 0.025 + 3 * np.sqrt(0.025 * 0.975 / EXPERIMENTS)
    assert wrong / EXPERIMENTS <= bound
    assert naive / EXPERIMENTS > bound


def _alone(finalists: list[Comparison]) -> list[float]:
    """As if the arms that were stopped had never been."""
    return adjusted([c.p for c in finalists if c.p is not None], "holm")


def test_an_arm_that_crashes_falls_behind() -> None:
    def measure(arms: Sequence[str], seeds: Sequence[int]) -> list[Score]:
        return [
            Score(a, s, "recall", None if a == "bad" else float(a == "good") + s / 7 % 0.3, "crashed")
            for a in arms
            for s in seeds
        ]

    done = halving(measure, ["bad", "good"], range(6), metric="recall", better="higher")
    assert done.stopped == ("bad",)
