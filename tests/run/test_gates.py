"""Dear operators run only on what passes the rules before them, whatever those rules look at."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from journey_operators import FLAKY, SCORED
from journey_operators import operators as operators_of_journeys
from journeys import fates_of, go, measured, sizes, values_of, write_source
from small_pictures import make_source, picture

from sluice.errors import MissingError
from sluice.operator import Registry, registry
from sluice.recipe.load import loads
from sluice.run import run
from sluice.store.opened import Run
from sluice.store.whatif import what_if, why

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


# What dear operators are called for: `SCORED` holds the sizes of the files they saw.

DEAR = "  - keep: image_width_px >= %d\n  - keep: image_dear_score >= 0"


@pytest.fixture
def dear(tmp_path: Path) -> Path:
    SCORED.clear()
    write_source(tmp_path / "in", "folder", sizes(30, 40, 50, 60, 70))
    return tmp_path


def scored() -> list[int]:
    seen = list(SCORED)
    SCORED.clear()
    return seen


def size_of(folder: Path, number: int) -> int:
    return (folder / f"in/s{number:02d}.jpg").stat().st_size


def test_only_survivors_are_scored_and_a_looser_rule_scores_the_new_ones(dear: Path) -> None:
    first = go(dear, DEAR % 60, operators=operators_of_journeys())
    assert scored() == [size_of(dear, 3), size_of(dear, 4)]
    assert (first["kept"], [y["absent"] for y in first["yields"]]) == (2, [0, 3])
    assert [(y["alone"], y["null"]) for y in first["yields"]] == [(3, 0), (0, 0)]
    looser = go(dear, DEAR % 50, operators=operators_of_journeys(), update=True)
    assert scored() == [size_of(dear, 2)]
    assert (looser["kept"], measured(looser)) == (3, 1)
    again = go(dear, DEAR % 50, operators=operators_of_journeys())
    assert (again["kept"], measured(again), scored()) == (3, 0, [])
    tighter = go(dear, DEAR % 70, operators=operators_of_journeys(), update=True)
    assert (tighter["kept"], measured(tighter), scored()) == (1, 0, [])


def test_absent_is_neither_passed_nor_failed(dear: Path) -> None:
    go(dear, DEAR % 60, operators=operators_of_journeys())
    fates = fates_of(dear / "out")
    assert fates["s00"]["failing"] == ["image_width_px >= 60"]
    run = Run.open(str(dear / "out"))
    (told,) = why(run, "s00")
    assert [rule["passes"] for rule in told["rules"]] == [False, None]
    assert told["values"]["image_dear_score"] is None


def test_what_if_refuses_what_was_never_measured_and_only_that(dear: Path) -> None:
    go(dear, DEAR % 60, operators=operators_of_journeys())
    run = Run.open(str(dear / "out"))
    for width, kept in ((60, 2), (70, 1)):
        rules = [f"image_width_px >= {width}", "image_dear_score >= 0"]
        assert what_if(run, rules).counts()["kept"] == kept
    with pytest.raises(MissingError, match="never computed for 2 of the 5 samples") as caught:
        what_if(run, ["image_width_px >= 40", "image_dear_score >= 0"])
    assert "{image_dear_score: {when: all}}" in caught.value.fix
    # Whoever has been dropped by a cheaper rule is not asked about.
    rules = ["image_width_px >= 40", "image_width_px >= 999 and image_dear_score >= 0"]
    assert what_if(run, rules).counts()["dropped"] == 5


def test_when_all_lifts_the_gate(dear: Path) -> None:
    lifted = "  - measure: [{image_dear_score: {when: all}}]\n" + DEAR % 60
    found = go(dear, lifted, operators=operators_of_journeys())
    assert sorted(scored()) == sorted(size_of(dear, k) for k in range(5))
    assert [y["absent"] for y in found["yields"]] == [0, 0]
    run = Run.open(str(dear / "out"))
    assert what_if(run, ["image_dear_score >= 0"]).counts()["kept"] == 5


def test_after_a_dedup_only_its_survivors_are_scored(dear: Path) -> None:
    shutil.copy(dear / "in/s04.jpg", dear / "in/s05.jpg")
    steps = "  - keep: image_width_px >= 60\n  - dedup: image_content_hash\n  - keep: image_dear_score >= 0"
    found = go(dear, steps, operators=operators_of_journeys())
    assert scored() == [size_of(dear, 3), size_of(dear, 4)]
    assert (found["kept"], found["duplicate"]) == (2, 1)
    assert [s["name"] for s in found["steps"] if s["name"].startswith("measure")] == ["measure", "measure 2"]
    assert measured(go(dear, steps, operators=operators_of_journeys())) == 0
    assert scored() == []


def test_a_rule_behind_drop_items_gates_nothing(tmp_path: Path) -> None:
    """What the rule will see is known only once the items are gone."""
    SCORED.clear()
    write_source(tmp_path / "in", "folder", [{"a.jpg": picture(1, 30), "b.jpg": picture(2, 80)}])
    steps = (
        "  - drop_items: image_width_px < 40\n  - keep: all(image_width_px >= 40)\n"
        "  - keep: all(image_dear_score >= 0)"
    )
    found = go(tmp_path, steps, operators=operators_of_journeys())
    assert (found["kept"], len(scored())) == (1, 2)


def test_a_second_gate_reads_the_first_ones_stored_scores(dear: Path) -> None:
    steps = "  - keep: image_width_px >= 60\n  - keep: image_dear_score >= 0"
    go(dear, steps, operators=operators_of_journeys())
    assert len(scored()) == 2
    more = steps + "\n  - keep: image_dearer_score >= 0"
    found = go(dear, more, operators=operators_of_journeys(), update=True)
    assert (found["kept"], sorted(scored())) == (2, sorted([-size_of(dear, 3), -size_of(dear, 4)]))


def test_scores_do_not_depend_on_the_batch(dear: Path) -> None:
    lifted = "  - measure: [{image_dear_score: {when: all}}]"
    go(dear, lifted, operators=operators_of_journeys())
    together = values_of(dear / "out", "image_dear_score")
    for path in sorted((dear / "in").iterdir()):
        alone = dear / path.stem
        (alone / "in").mkdir(parents=True)
        shutil.copy(path, alone / "in")
        go(alone, lifted, operators=operators_of_journeys())
        assert values_of(alone / "out", "image_dear_score") == {path.stem: together[path.stem]}


def test_gates_judge_what_the_source_says(tmp_path: Path) -> None:
    """Source columns of mixed types gate as they select: what is no number is null."""
    SCORED.clear()
    folder = tmp_path / "in"
    folder.mkdir()
    ranks: list[Any] = [1, 7, "8", "eight", None, 9.5, True]
    with (folder / "a.jsonl").open("w") as lines:
        for k, rank in enumerate(ranks):
            (folder / f"{k}.jpg").write_bytes(picture(k))
            lines.write(json.dumps({"key": f"s{k}", "image": f"{k}.jpg", "rank": rank}) + "\n")
    steps = "  - keep: rank >= 5\n  - keep: image_dear_score >= 0"
    found = go(tmp_path, steps, "source.format=jsonl", operators=operators_of_journeys())
    kept = {key for key, row in fates_of(tmp_path / "out").items() if row["fate"] == "kept"}
    assert kept == {"s1", "s2", "s5"}
    assert len(scored()) == 3
    assert [(y["null"], y["absent"]) for y in found["yields"]] == [(3, 0), (0, 4)]


def test_what_could_not_be_fetched_is_tried_again_on_request(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(40, 50))
    steps = "  - measure: image_far_away"
    FLAKY["away"] = True
    try:
        assert go(tmp_path, steps, operators=operators_of_journeys())["failures"] == {"bytes not readable": 2}
    finally:
        FLAKY["away"] = False
    assert go(tmp_path, steps, operators=operators_of_journeys())["failed"] == 2
    retried = go(tmp_path, steps, operators=operators_of_journeys(), retry_failed=True)
    assert (retried["kept"], retried["failed"]) == (2, 0)
    assert go(tmp_path, steps, operators=operators_of_journeys())["kept"] == 2


def test_gates_work_in_worker_processes(dear: Path) -> None:
    found = go(dear, DEAR % 60, operators=operators_of_journeys(), workers=2)
    assert found["kept"] == 2


@pytest.mark.parametrize("known", [False, True])
def test_a_crash_of_a_dear_operator_fails_that_sample_whatever_is_known_already(
    tmp_path: Path, operators: Registry, known: bool
) -> None:
    """Also where no other operator runs any more, in whose cells the reason could be noted; and it can be retried."""
    folder = write_source(tmp_path / "in", "folder", sizes(30, 40, 50, 60))
    victim = folder / "s02.jpg"
    victim.write_bytes(victim.read_bytes() + b"\0all:SEGV")
    gate = "  - keep: image_width_px >= 35\n"
    if known:
        go(tmp_path, gate, operators=operators)
    found = go(tmp_path, gate + SCORE, operators=operators, workers=1, update=True)
    assert (found["kept"], found["dropped"], found["failed"]) == (2, 1, 1)
    (reason,) = found["failures"]
    assert "image_fragile_score" in reason
    assert "SIGSEGV" in reason
    assert values_of(tmp_path / "out", "image_width_px")["s02"] == 50
    again = go(tmp_path, gate + SCORE, operators=operators, workers=1)
    assert (again["failed"], measured(again)) == (1, 0)
    retried = go(tmp_path, gate + SCORE, operators=operators, workers=1, retry_failed=True)
    assert (retried["kept"], retried["failed"]) == (2, 1)
