"""Duplicate items inside samples: dropped where another sample keeps one; later rules do not see them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from journeys import balanced, fates_of, go, members, write_tar
from small_pictures import picture

from sluice.store.opened import Run
from sluice.store.whatif import what_if, why

WORDS = [f"word{k}" for k in range(400)]


def prose(seed: int, changed: int = 0) -> bytes:
    """Sixty words of its own for every seed, the last few of them changed."""
    luck = random.Random(seed)
    words = [luck.choice(WORDS) for _ in range(60)]
    return " ".join(words[: 60 - changed] + [f"other{k}" for k in range(changed)]).encode()


def source(tmp_path: Path) -> Path:
    """Documents: b shares a picture and nearly a text with a; c has only what they have; d repeats itself."""
    documents: dict[str, list[bytes]] = {
        "a": [prose(1), picture(1), prose(2), picture(2)],
        "b": [prose(1), picture(3), prose(2, changed=2), picture(1)],
        "c": [picture(2), prose(1), picture(3)],
        "d": [picture(4), prose(4), picture(4), prose(4)],
    }
    files: dict[str, bytes] = {}
    for key, items in documents.items():
        for k, data in enumerate(items):
            files[f"{key}.{k}.{'jpg' if data[0] == 0xFF else 'txt'}"] = data
    write_tar(tmp_path / "in/a.tar", files)
    return tmp_path


IMAGES = {"b": {3: "a"}, "c": {0: "a", 2: "b"}}
TEXTS = {"b": {0: "a"}, "c": {1: "a"}}


@pytest.mark.parametrize(
    ("step", "lost"),
    [
        ("image_content_hash", IMAGES),
        ("image_phash, distance: 4", IMAGES),
        ("image_descriptor, similarity: 0.99", IMAGES),
        ("text_content_hash", TEXTS),
        ("text_minhash, similarity: 0.8", {"b": {0: "a", 2: "a"}, "c": {1: "a"}}),
        ("image_content_hash, semantics: components", IMAGES),
    ],
)
def test_what_another_sample_keeps_is_dropped(
    tmp_path: Path, step: str, lost: dict[str, dict[int, str]]
) -> None:
    found = go(source(tmp_path), f"  - dedup: {{by: {step}, level: item, name: twice}}")
    fates = fates_of(tmp_path / "out")
    told = {
        key: {
            each["item"]: (each["rule"], each["fate"], each["reason"]) for each in row["items_dropped"] or ()
        }
        for key, row in fates.items()
    }
    assert told == {
        key: {item: ("twice", "duplicate", f"like an item of {holder!r}") for item, holder in of.items()}
        for key, of in {"a": {}, "d": {}, **lost}.items()
    }
    assert (found["kept"], found["duplicate"], balanced(found)) == (4, 0, True)
    gone = {name for key, of in lost.items() for name in members_of(key, of)}
    assert set(members(tmp_path / "out")) == set(members(tmp_path / "in")) - gone
    count = sum(map(len, lost.values()))
    assert found["levels"][0] == {
        "name": "items", "read": 15, "kept": 15 - count, "dropped": 0, "duplicate": count, "failed": 0,
    }  # fmt: skip
    (did,) = found["yields"]
    assert (did["name"], did["items"], did["kept"]) == ("twice", count, 4)


def members_of(key: str, items: Any) -> list[str]:
    kinds = {"a": "tjtj", "b": "tjtj", "c": "jtj", "d": "jtjt"}
    return [f"{key}.{item}.{'jpg' if kinds[key][item] == 'j' else 'txt'}" for item in items]


def test_later_steps_see_what_is_left_and_a_sample_without_content_falls(tmp_path: Path) -> None:
    steps = (
        "  - dedup: {by: image_content_hash, level: item, name: pictures}\n"
        "  - keep: {rule: count(image_width_px >= 1) <= 2, nulls: keep, name: pictureless pass}\n"
        "  - dedup: {by: text_minhash, similarity: 0.8, level: item, name: texts}\n"
        "  - drop_items: {rule: image_width_px >= 1 and image_phash is null, name: never}\n"
        "  - keep: {rule: count(image_width_px >= 1) >= 2, name: two pictures}\n"
    )
    found = go(source(tmp_path), steps)
    fates = fates_of(tmp_path / "out")
    assert {k: (f["fate"], f["rule"], f["reason"]) for k, f in fates.items()} == {
        "a": ("kept", None, None),
        "b": ("dropped", "two pictures", None),
        "c": ("dropped", "texts", "no content left"),
        "d": ("kept", None, None),
    }
    assert balanced(found)
    assert found["failures"] == {}
    assert [(each["name"], each["values"]) for each in found["comparisons"]] == [
        ("pictures", 8),
        ("texts", 7),
    ]
    (told,) = why(Run.open(str(tmp_path / "out")), "c")
    assert [item["lost"]["rule"] for item in told["items"]] == ["pictures", "texts", "pictures"]


def test_items_of_samples_that_fell_before_hold_nothing(tmp_path: Path) -> None:
    steps = "  - keep: key <> 'a'\n  - dedup: {by: image_content_hash, level: item}"
    go(source(tmp_path), steps)
    lost = {k: f["items_dropped"] for k, f in fates_of(tmp_path / "out").items()}
    assert (lost["a"], lost["b"], [each["item"] for each in lost["c"]]) == (None, None, [2])


def test_who_keeps_an_item_is_said_by_keep_by(tmp_path: Path) -> None:
    go(source(tmp_path), "  - dedup: {by: image_content_hash, level: item, keep_by: key desc}")
    lost = {k: [i["item"] for i in f["items_dropped"] or ()] for k, f in fates_of(tmp_path / "out").items()}
    assert lost == {"a": [1, 3], "b": [1], "c": [], "d": []}


def test_an_item_that_a_rule_dropped_holds_nothing(tmp_path: Path) -> None:
    files = {
        "a.0.jpg": picture(1, 90),
        "a.1.jpg": picture(2),
        "b.0.jpg": picture(1, 90),
        "b.1.jpg": picture(3),
    }
    write_tar(tmp_path / "in/a.tar", files)
    steps = "  - drop_items: {rule: image_width_px = 90 and image_entropy < 0, name: none}\n"
    dedup = "  - dedup: {by: image_content_hash, level: item}"
    go(tmp_path, steps + dedup)
    assert "b.0.jpg" not in members(tmp_path / "out")
    drop = "  - drop_items: image_width_px = 90\n"
    found = go(tmp_path, drop + dedup, output=tmp_path / "other")
    assert sorted(members(tmp_path / "other")) == ["a.1.jpg", "b.1.jpg"]
    assert found["levels"][0]["duplicate"] == 0


def test_what_if_resolves_items_as_a_run_does(tmp_path: Path) -> None:
    steps = (
        "  - dedup: {by: image_phash, distance: 4, level: item}\n  - keep: count(image_width_px >= 1) >= %d"
    )
    go(source(tmp_path), steps % 1)
    asked = what_if(Run.open(str(tmp_path / "out")), ["count(image_width_px >= 1) >= 2"])
    done = go(tmp_path, steps % 2, output=tmp_path / "real", store=str(tmp_path / "sluice-store"))
    assert asked.counts() == {k: done[k] for k in asked.counts()}
    assert asked.counts()["dropped"] == 2
    rows = fates_of(tmp_path / "real").values()
    assert {r["ordinal"] for r in rows if r["items_dropped"]} == set(asked.dropped_items)
    at_zero = what_if(Run.open(str(tmp_path / "out")), [], {"image_phash": 0})
    assert at_zero.dropped_items.keys() == asked.dropped_items.keys()


def test_single_items_of_scalar_columns_are_dropped_too(tmp_path: Path) -> None:
    """Where no sample has two pictures the columns are scalars: the same step, the same meaning."""
    files: dict[str, bytes] = {}
    for key, seed in (("a", 1), ("b", 1), ("c", 2)):
        files |= {f"{key}.jpg": picture(seed), f"{key}.txt": key.encode()}
    files["d.jpg"] = picture(2)
    write_tar(tmp_path / "in/a.tar", files)
    steps = (
        "  - dedup: {by: image_content_hash, level: item, name: twice}\n"
        "  - keep: {rule: image_width_px is null, name: pictureless}\n"
    )
    found = go(tmp_path, steps)
    fates = {k: (f["fate"], f["rule"], f["reason"]) for k, f in fates_of(tmp_path / "out").items()}
    assert fates["d"] == ("dropped", "twice", "no content left")
    assert [k for k, f in fates.items() if f[0] == "kept"] == ["b"]
    assert list(members(tmp_path / "out")) == ["b.txt"]
    assert balanced(found)
