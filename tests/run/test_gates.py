"""Dear operators run only on what passes the rules before them, whatever those rules look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from small_pictures import make_source

from sluice.operator import Registry, registry
from sluice.recipe.load import loads
from sluice.run import run

sys.path.insert(0, str(Path(__file__).parents[1] / "hostile"))
from operators_hostile import image_fragile_score

WRITE = "\nwrite: {path: out, shard_samples: 3}\n"


@pytest.fixture
def operators() -> Registry:
    # The operator stands twice in some recipes, under two names.
    return Registry([*registry(), *registry().features(), image_fragile_score.spec])


def summary(tmp_path: Path, steps: str, operators: Registry, **options: Any) -> dict[str, Any]:
    if not (tmp_path / "in").exists():
        make_source(tmp_path / "in")
    recipe = loads(f"source: in\nsteps:\n{steps}{WRITE}", source=str(tmp_path / "in"))
    output = str(tmp_path / "out")
    return run(recipe, output=output, workers=0, quiet=True, operators=operators, **options)


SCORE = "  - keep: image_fragile_score >= 0\n"


def test_columns_that_no_gate_looks_at_may_be_of_any_kind(tmp_path: Path, operators: Registry) -> None:
    steps = f"  - measure: [image_phash, image_descriptor]\n  - keep: image_width_px >= 40\n{SCORE}"
    assert summary(tmp_path, steps, operators)["kept"] == 7


def test_a_gate_behind_a_gate_that_nothing_passes(tmp_path: Path, operators: Registry) -> None:
    second = "  - measure: [{image_fragile_score: {as: second}}]\n  - keep: second >= 0\n"
    steps = f"  - keep: image_width_px >= 9999\n{SCORE}{second}"
    found = summary(tmp_path, steps, operators)
    assert (found["read"], found["kept"], found["dropped"], found["failed"]) == (10, 0, 9, 1)


def test_a_gate_after_a_global_step_knows_what_was_measured_before_it(
    tmp_path: Path, operators: Registry
) -> None:
    second = "  - keep: second >= 0\n"
    steps = (
        f"  - keep: image_width_px >= 40\n{SCORE}  - dedup: image_content_hash\n"
        "  - keep: image_fragile_score >= 0 and image_height_px <= 48\n"
        f"{second}"
    )
    steps = steps.replace(second, "  - measure: [{image_fragile_score: {as: second}}]\n" + second)
    assert summary(tmp_path, steps, operators)["kept"] == 6


def test_other_settings_of_a_stored_column_are_not_taken_for_its_own(
    tmp_path: Path, operators: Registry
) -> None:
    """The gate is judged by the column as this recipe defines it, not by one of the same name."""
    steps = "  - measure: [{image_flat_border_ratio: {tolerance: %d}}]\n  - keep: image_flat_border_ratio <= 0.5\n"
    loose, tight = steps % 255, steps % 0
    assert summary(tmp_path, loose + SCORE, operators)["kept"] == 0
    for _ in range(2):  # the second time everything is known
        assert summary(tmp_path, tight + SCORE, operators, update=True)["kept"] == 9
