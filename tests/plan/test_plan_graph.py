"""Which operators a recipe needs, in which passes, behind which rules; and what cannot be planned."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from journey_operators import operators

from sluice.errors import PlanError, SluiceError
from sluice.plan import Plan, plan
from sluice.recipe.check import FieldType
from sluice.recipe.load import loads


def planned(steps: str, head: str = "", **options: Any) -> Plan:
    return plan(loads(f"source: in\n{head}\nsteps:\n{steps}\n"), operators(), **options)


def names(found: Plan) -> list[tuple[list[str], list[tuple[str, tuple[int, ...]]], int]]:
    return [
        ([i.spec.name for i in p.cheap], [(g.instance.spec.name, g.gates) for g in p.gated], p.after)
        for p in found.passes
    ]


def test_cheap_operators_share_one_pass_whatever_stands_between() -> None:
    found = planned("  - keep: image_width_px >= 1\n  - dedup: image_phash\n  - keep: image_entropy >= 1")
    assert names(found) == [(["image_width_px", "image_phash", "image_entropy"], [], 0)]


def test_dear_operators_wait_for_the_rules_before_them() -> None:
    found = planned(
        "  - keep: image_width_px >= 1\n  - keep: image_dear_score >= 1\n"
        "  - keep: image_height_px >= 1\n  - keep: image_dearer_score >= 1"
    )
    assert names(found)[0][1] == [("image_dear_score", (0,)), ("image_dearer_score", (0, 1, 2))]


def test_dear_operators_after_a_global_step_have_a_pass_of_their_own() -> None:
    found = planned(
        "  - keep: image_width_px >= 1\n  - dedup: image_phash\n"
        "  - keep: image_height_px >= 1\n  - keep: image_dear_score >= 1"
    )
    (_, first, _), (cheap, second, after) = names(found)
    assert (first, cheap, second, after) == ([], [], [("image_dear_score", (2,))], 2)


def test_rules_behind_drop_items_gate_nothing() -> None:
    found = planned(
        "  - keep: image_width_px >= 1\n  - drop_items: image_width_px < 9\n"
        "  - keep: image_width_px >= 2\n  - keep: image_dear_score >= 1"
    )
    assert names(found)[0][1] == [("image_dear_score", (0,))]


def test_when_all_and_early_measures_lift_gates() -> None:
    rules = "  - keep: image_width_px >= 1\n  - keep: image_dear_score >= 1"
    for head in ("  - measure: [{image_dear_score: {when: all}}]\n", "  - measure: image_dear_score\n"):
        assert names(planned(head + rules))[0][1] == [("image_dear_score", ())]


def test_settings_named_late_hold_for_earlier_rules() -> None:
    found = planned("  - keep: image_dear_score >= 1\n  - measure: [{image_dear_score: {gain: 2}}]")
    (instance,) = found.instances
    assert instance.settings["gain"] == 2


def test_full_checks_decode() -> None:
    assert names(planned("  - keep: image_width_px >= 1", "check: full"))[0][0] == [
        "image_width_px",
        "image_decodes",
    ]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("  - keep: image_widht_px >= 1", "image_widht_px"),
        ("  - measure: [image_dear_score, {image_dear_score: {gain: 2}}]", "two operators would both make"),
        ("  - measure: image_near_bits", "no operator"),
        ("  - measure: [{image_dear_score: {gian: 2}}]", "gian"),
        ("  - dedup: nothing_known", "nothing_known"),
    ],
)
def test_what_cannot_be_planned_says_where(steps: str, message: str) -> None:
    with pytest.raises(SluiceError, match=message) as caught:
        planned(steps)
    assert "recipe:" in str(caught.value)


def test_source_columns_are_fields() -> None:
    known = {"year": FieldType("year", "number")}
    assert names(planned("  - keep: year >= 1", source_fields=known)) == [([], [], 0)]
    with pytest.raises(PlanError, match="the source has already"):
        planned(
            "  - measure: image_width_px",
            source_fields={"image_width_px": FieldType("image_width_px", "number")},
        )
