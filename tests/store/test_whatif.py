"""What other rules would keep is what a run with those rules keeps; margins and reasons are true."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from journeys import fates_of, go, sizes, write_source
from small_pictures import picture

from sluice.errors import MissingError, RuleError, UsageError
from sluice.store.opened import Run
from sluice.store.whatif import what_if, why, with_rules

WIDTHS = (20, 30, 40, 50, 60, 70, 80)
STEPS = """\
  - measure: [image_height_px, image_entropy]
  - keep: {rule: image_width_px >= 35, name: narrow}
  - keep: image_width_px <= 75
  - dedup: image_content_hash
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven widths, a copy of the sixth and one broken picture."""
    here = tmp_path_factory.mktemp("whatif")
    samples = [*sizes(*WIDTHS), {"jpg": picture(5, 70, 32)}, {"jpg": b"words"}]
    write_source(here / "in", "folder", samples)
    go(here, STEPS)
    return here


@pytest.fixture
def run(finished: Path) -> Run:
    return Run.open(str(finished / "out"))


RULES = st.sampled_from(
    [
        "image_width_px >= 25",
        "image_width_px between 30 and 60",
        "image_width_px < 50 or image_entropy > 3",
        "image_height_px = 32",
        "not image_width_px = 40",
        "key <> 's03'",
        "image_width_px / image_height_px > 1.2",
        "size_bytes > 800",
    ]
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=st.lists(RULES, min_size=1, max_size=3))
def test_asking_equals_running(
    finished: Path, run: Run, tmp_path_factory: pytest.TempPathFactory, rules: list[str]
) -> None:
    asked = what_if(run, rules)
    others = tmp_path_factory.mktemp("other")
    steps = (
        STEPS.splitlines()[0]
        + "\n"
        + "".join(f'  - keep: "{rule}"\n' for rule in rules)
        + STEPS.splitlines()[3]
    )
    done = go(finished, steps, output=others, store=str(finished / "sluice-store"))
    assert asked.counts() | {"duplicate": 0, "kept": 0} == {k: done[k] for k in asked.counts()} | {
        "duplicate": 0,
        "kept": 0,
    }
    # Only duplicates of samples that the run had never compared may differ, and those are counted.
    assert done["duplicate"] - asked.counts()["duplicate"] <= asked.never_compared


def test_with_rules_puts_them_where_the_first_stood(run: Run) -> None:
    changed = with_rules(run.recipe, ["image_width_px > 1", "image_width_px > 2"])
    assert [step.key for step in changed.steps] == ["measure", "keep", "keep", "dedup"]


def test_why_gives_values_rules_and_margins(run: Run) -> None:
    (told,) = why(run, "s01")
    assert (told["fate"], told["decided_by"], told["failing"]) == ("dropped", "narrow", ["narrow"])
    assert told["values"]["image_width_px"] == 30
    widths = [*WIDTHS, 70]
    low, _, high = statistics.quantiles(widths, n=4, method="inclusive")
    narrow, wide = told["rules"]
    assert (narrow["passes"], wide["passes"]) == (False, True)
    (margin,) = narrow["margins"]
    assert margin["margin"] == pytest.approx(30 - 35)
    assert margin["margin_iqr"] == pytest.approx((30 - 35) / (high - low))
    (margin,) = wide["margins"]
    assert margin["margin"] == pytest.approx(75 - 30)


def test_why_knows_duplicates_from_both_sides_and_failures(run: Run) -> None:
    (first,), (copy,) = why(run, "s05"), why(run, "s07")
    assert (first["fate"], copy["fate"]) == ("kept", "duplicate")
    assert [twin["key"] for twin in first["duplicates"]] == ["s07"]
    assert copy["duplicate_of"]["key"] == "s05"
    (broken,) = why(run, "s08")
    assert (broken["fate"], broken["reason"]) == ("failed", "not an image")
    assert [rule["passes"] for rule in broken["rules"]] == [None, None]
    (by_id,) = why(run, first["id"])
    assert by_id["key"] == "s05"
    with pytest.raises(UsageError, match="no sample of this run"):
        why(run, "s99")


def test_the_sign_of_a_margin_is_the_verdict(run: Run) -> None:
    for row in fates_of(Path(run.place.output.url)).values():
        if row["fate"] == "failed":
            continue
        for margin in run.margins:
            name = "narrow" if margin.step == 1 else "image_width_px <= 75"
            assert (row[margin.column] >= 0) == (name not in row["failing"])


def test_what_cannot_be_asked_says_what_to_do(run: Run) -> None:
    with pytest.raises(MissingError, match="was not measured in this run") as caught:
        what_if(run, ["image_sharpness >= 1"])
    assert "measure: image_sharpness" in caught.value.fix
    with pytest.raises(RuleError, match="image_widht_px"):
        what_if(run, ["image_widht_px >= 1"])
    with pytest.raises(RuleError):
        what_if(run, ["image_width_px >="])
