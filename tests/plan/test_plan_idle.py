"""Bounds outside all that a field can hold are told before anything runs."""

from __future__ import annotations

import pytest

from sluice.operator import registry
from sluice.plan import idle_rules, plan
from sluice.recipe.load import loads


def _told(rule: str) -> list[str]:
    return idle_rules(plan(loads(f"source: in\nsteps:\n  - keep: {rule}\n", file="r.yaml"), registry()))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("image_entropy <= 80", "`image_entropy <= 80` always holds: `image_entropy` goes from 0 to 8"),
        ("image_entropy >= 9", "`image_entropy >= 9` never holds"),
        ("not image_entropy >= 9", "always holds"),
        ("9 <= image_entropy", "never holds"),
        (
            "image_flat_border_ratio between 0.1 and 50",
            "always holds: `image_flat_border_ratio` goes from 0 to 1",
        ),
        ("image_width_px >= -5", "always holds: `image_width_px` goes from 1 to ∞"),
    ],
)
def test_a_bound_on_another_scale_is_told_with_its_line(rule: str, says: str) -> None:
    (told,) = _told(rule)
    assert told.startswith("r.yaml:3: ")
    assert says in told


@pytest.mark.parametrize(
    "rule",
    ["image_entropy <= 8", "image_entropy >= 0", "image_entropy >= 5", "text_length >= 10", "key = 'a'"],
)
def test_bounds_within_the_scale_and_on_its_ends_are_nobodys_business(rule: str) -> None:
    assert _told(rule) == []
