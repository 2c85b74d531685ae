"""Items dropped inside samples: later rules see fewer, the output lacks them, and every item is accounted for."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from journey_operators import operators
from journeys import BROKEN, balanced, fates_of, go, members, write_source, write_tar
from small_pictures import picture

from sluice.cli import main
from sluice.store.opened import Run
from sluice.store.whatif import what_if, why


def source(tmp_path: Path) -> Path:
    """Stereo pairs: both wide, one narrow, both narrow, one unreadable, both unreadable; all with a caption."""
    pairs: dict[str, tuple[int | None, int | None]] = {
        "wide": (80, 90),
        "half": (30, 80),
        "thin": (30, 31),
        "torn": (None, 85),
        "gone": (None, None),
        "tornthin": (None, 30),
    }
    files: dict[str, bytes] = {}
    for k, (key, widths) in enumerate(pairs.items()):
        for side, width in zip(("left", "right"), widths, strict=True):
            files[f"{key}.{side}.jpg"] = BROKEN if width is None else picture(10 * k + width, width)
    write_tar(tmp_path / "in/a.tar", files)
    return tmp_path


def test_later_rules_and_the_output_lack_what_was_dropped(tmp_path: Path) -> None:
    steps = "  - drop_items: {rule: image_width_px < 40, name: narrow}\n  - keep: all(image_width_px >= 40)"
    found = go(source(tmp_path), steps)
    assert balanced(found)
    assert found["by_rule"] == {"narrow": 2, "all(image_width_px >= 40)": 0}
    assert found["failures"] == {"not an image": 1}
    assert sorted(members(tmp_path / "out")) == [
        "half.right.jpg",
        "torn.right.jpg",
        "wide.left.jpg",
        "wide.right.jpg",
    ]
    fates = fates_of(tmp_path / "out")
    assert {k: (f["fate"], f["rule"]) for k, f in fates.items()} == {
        "wide": ("kept", None),
        "half": ("kept", None),
        "thin": ("dropped", "narrow"),
        "torn": ("kept", None),
        "gone": ("failed", None),
        "tornthin": ("dropped", "narrow"),
    }
    (items,) = found["levels"]
    assert items == {"name": "items", "read": 12, "kept": 4, "dropped": 4, "duplicate": 0, "failed": 4}


def test_a_rule_before_sees_all_items_and_one_after_sees_what_is_left(tmp_path: Path) -> None:
    steps = (
        "  - keep: {rule: count(image_width_px >= 1) >= 2, name: before}\n"
        "  - drop_items: image_width_px < 40\n"
        "  - keep: {rule: count(image_width_px >= 1) >= 2, name: after}"
    )
    found = go(source(tmp_path), steps)
    kept = {k for k, f in fates_of(tmp_path / "out").items() if f["fate"] == "kept"}
    assert kept == {"wide"}
    assert (found["by_rule"]["before"], found["by_rule"]["after"]) == (2, 1)


def test_margins_are_those_of_the_items_a_rule_saw(tmp_path: Path) -> None:
    steps = (
        "  - drop_items: image_width_px < 40\n"
        "  - keep: all(image_width_px >= 40)\n  - keep: min(image_width_px) >= 50"
    )
    go(source(tmp_path), steps)
    run = Run.open(str(tmp_path / "out"))
    (told,) = why(run, "half")
    assert [rule["margins"][0]["margin"] for rule in told["rules"]] == pytest.approx([40, 30])


def test_the_selection_says_which_item_fell_where_and_why(tmp_path: Path) -> None:
    steps = (
        "  - keep: {rule: key <> 'thin', name: not thin}\n"
        "  - drop_items: {rule: image_width_px < 40, name: narrow}\n"
        "  - drop_items: {rule: image_width_px < 85, name: small}"
    )
    found = go(source(tmp_path), steps)
    torn = {"item": 0, "rule": None, "fate": "failed", "reason": "not an image"}
    fates = fates_of(tmp_path / "out")
    assert {k: f["items_dropped"] for k, f in fates.items()} == {
        "wide": [{"item": 0, "rule": "small", "fate": "dropped", "reason": None}],
        "half": [
            {"item": 0, "rule": "narrow", "fate": "dropped", "reason": None},
            {"item": 1, "rule": "small", "fate": "dropped", "reason": None},
        ],
        "thin": None,  # it had fallen as a whole
        "torn": [torn],
        "gone": [torn, torn | {"item": 1}],
        "tornthin": [torn, {"item": 1, "rule": "narrow", "fate": "dropped", "reason": None}],
    }
    assert (fates["half"]["rule"], fates["half"]["reason"]) == ("small", "no content left")
    assert (fates["thin"]["rule"], fates["thin"]["reason"]) == ("not thin", None)
    assert found["failures"] == {"not an image": 1}
    assert {y["name"]: y["items"] for y in found["yields"]} == {"not thin": 0, "narrow": 2, "small": 2}
    assert found["levels"][0] == {
        "name": "items", "read": 12, "kept": 2, "dropped": 6, "duplicate": 0, "failed": 4,
    }  # fmt: skip


def test_why_tells_what_befell_the_items_of_a_sample(tmp_path: Path) -> None:
    go(source(tmp_path), "  - drop_items: {rule: image_width_px < 40, name: narrow}")
    (told,) = why(Run.open(str(tmp_path / "out")), "half")
    assert [(i["name"], i["lost"]) for i in told["items"]] == [
        ("left.jpg", {"fate": "dropped", "rule": "narrow", "reason": None}),
        ("right.jpg", None),
    ]
    lines = CliRunner().invoke(main, ["why", str(tmp_path / "out"), "tornthin"]).output.splitlines()
    assert lines[0] == "tornthin: dropped by 'narrow' (no content left)"
    assert any(line.endswith("left out: not an image") for line in lines)
    assert any(line.endswith("dropped by 'narrow'") for line in lines[1:])


@pytest.mark.parametrize(
    ("policy", "kept", "failed"),
    [
        ("drop_item", {"wide", "half", "thin", "torn", "tornthin"}, 1),
        ("fail", {"wide", "half", "thin"}, 3),
        ("null", {"wide", "half", "thin", "torn", "tornthin"}, 0),
    ],
)
def test_unreadable_items_by_policy(tmp_path: Path, policy: str, kept: set[str], failed: int) -> None:
    found = go(source(tmp_path), "  - keep: any(image_width_px >= 1)", f"item_errors='{policy}'")
    assert {k for k, f in fates_of(tmp_path / "out").items() if f["fate"] == "kept"} == kept
    assert (balanced(found), found["failed"]) == (True, failed)
    assert ("torn.left.jpg" in members(tmp_path / "out")) == (policy == "null")


def test_one_unreadable_caption_costs_the_caption_only(tmp_path: Path) -> None:
    write_tar(tmp_path / "in/a.tar", {"a.jpg": picture(1), "a.txt": b"\xff\xfe\xfa"})
    found = go(tmp_path, "  - measure: [text_length, image_width_px]")
    assert (found["kept"], sorted(members(tmp_path / "out"))) == (1, ["a.jpg"])


def test_a_document_goes_on_without_an_unreadable_picture_and_a_captioned_one_fails(tmp_path: Path) -> None:
    torn = b"\xff\xfe\xfa"
    files = {
        "one.json": b"{}", "one.0.txt": b"before", "one.1.jpg": BROKEN, "one.2.txt": b"after",
        "two.0.jpg": picture(1), "two.1.txt": torn, "two.2.jpg": BROKEN,
        "none.0.txt": torn, "none.1.jpg": BROKEN,
        "lone.0.jpg": BROKEN,
        "captioned.jpg": BROKEN, "captioned.txt": b"a caption",
        "five.jpg": BROKEN, **{f"five.{k}.txt": b"one of five" for k in range(5)},
    }  # fmt: skip
    write_tar(tmp_path / "in/a.tar", files)
    found = go(tmp_path, "  - measure: [text_length, image_width_px]\n  - drop_items: image_width_px < 1")
    reasons = {k: f["reason"] for k, f in fates_of(tmp_path / "out").items() if f["fate"] == "failed"}
    assert reasons == {
        "none": "not UTF-8",  # of its first
        "lone": "not an image",
        "captioned": "not an image",
        "five": "not an image",
    }
    assert sorted(members(tmp_path / "out")) == ["one.0.txt", "one.2.txt", "one.json", "two.0.jpg"]
    assert balanced(found)
    strict = go(
        tmp_path, "  - measure: [text_length, image_width_px]", "item_errors=fail", output=tmp_path / "fail"
    )
    assert strict["failed"] == 6


@pytest.mark.parametrize("seed", range(4))
def test_two_drops_leave_exactly_what_neither_hits(tmp_path: Path, seed: int) -> None:
    """Positions stay those of the source after every step; checked item by item against Python."""
    luck = random.Random(seed)
    wanted: dict[str, bytes] = {}
    files: dict[str, bytes] = {}
    dropped = 0
    for k in range(12):
        any_left = False
        for i in range(luck.randrange(1, 5)):
            width, height = luck.choice([20, 50, 80]), luck.choice([20, 50, 80])
            name, data = f"s{k:02d}.{i}.jpg", picture(100 * k + i, width, height)
            files[name] = data
            if width >= 40 and height <= 60:
                wanted[name] = data
                any_left = True
        dropped += not any_left
    write_tar(tmp_path / "in/a.tar", files)
    steps = (
        "  - drop_items: {rule: image_width_px < 40, name: narrow}\n"
        "  - drop_items: {rule: image_height_px > 60, name: tall}\n"
        "  - keep: all(image_width_px >= 40) and all(image_height_px <= 60)"
    )
    found = go(tmp_path, steps)
    assert members(tmp_path / "out") == wanted
    assert found["dropped"] == dropped
    assert balanced(found)
    assert found["levels"][0]["kept"] == len(wanted)


@pytest.mark.parametrize(("nulls", "left"), [("keep", ["a.0.txt", "b.0.txt"]), ("drop", ["b.0.txt"])])
def test_nulls_say_what_becomes_of_items_without_a_value(tmp_path: Path, nulls: str, left: list[str]) -> None:
    files = {"a.0.txt": b"no number", "a.1.txt": b"700 is one", "b.0.txt": b"12 too", "b.1.txt": b"500"}
    write_tar(tmp_path / "in/a.tar", files)
    steps = f"  - drop_items: {{rule: text_first_number >= 100, nulls: {nulls}, name: large}}"
    found = go(tmp_path, steps, operators=operators())
    assert sorted(members(tmp_path / "out")) == left
    assert (found["by_rule"]["large"], balanced(found)) == (2 - len(left), True)


def test_what_if_drops_the_same_items(tmp_path: Path) -> None:
    steps = "  - drop_items: {rule: image_width_px < 40, name: narrow}\n  - keep: all(image_width_px >= %d)"
    go(source(tmp_path), steps % 40)
    asked = what_if(Run.open(str(tmp_path / "out")), ["all(image_width_px >= 85)"])
    done: dict[str, Any] = go(
        tmp_path, steps % 85, output=tmp_path / "real", store=str(tmp_path / "sluice-store")
    )
    assert asked.counts() == {k: done[k] for k in asked.counts()}


def test_single_items_of_scalar_columns_are_dropped_too(tmp_path: Path) -> None:
    """Where no sample has two pictures the columns are scalars: the same steps, the same meaning."""
    write_source(
        tmp_path / "in",
        "folder",
        [
            {"jpg": picture(1, 30), "txt": b"a caption"},
            {"jpg": picture(2, 80), "txt": b"another"},
            {"jpg": picture(3, 20)},
        ],
    )
    steps = (
        "  - drop_items: {rule: image_width_px < 40, name: narrow}\n"
        "  - keep: {rule: image_width_px >= 1, nulls: keep}"
    )
    found = go(tmp_path, steps)
    assert sorted(members(tmp_path / "out")) == ["s00.txt", "s01.jpg", "s01.txt"]
    assert found["by_rule"]["narrow"] == 1
    assert balanced(found)
