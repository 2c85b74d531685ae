"""Near duplicates in whole runs: other thresholds from stored pairs, keep policies, clusters, items of samples."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from journeys import balanced, fates_of, go, write_source

from sluice.errors import MissingError, PlanError, RecipeError, UsageError
from sluice.run import run as run_recipe
from sluice.store.opened import Run
from sluice.store.whatif import what_if, why, with_thresholds

COSINE = "  - dedup: {by: image_descriptor, similarity: %s%s}"


def scene(seed: int, blend: float = 0.0) -> bytes:
    """A smooth picture of its own for every seed, blended with the next seed's."""

    def smooth(number: int) -> np.ndarray[Any, Any]:
        noise = np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(noise).resize((96, 96), Image.Resampling.BICUBIC), np.float32)

    out = io.BytesIO()
    mixed = smooth(seed) * (1 - blend) + smooth(seed + 1000) * blend
    Image.fromarray(mixed.astype(np.uint8)).save(out, format="PNG")
    return out.getvalue()


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Twelve scenes, each there again a little and a good deal changed."""
    samples = [{"png": scene(k, blend)} for blend in (0.0, 0.02, 0.12) for k in range(12)]
    write_source(tmp_path / "in", "folder", samples)
    return tmp_path


def kept(folder: Path) -> list[str]:
    return [key for key, row in fates_of(folder / "out").items() if row["fate"] == "kept"]


def test_other_thresholds_need_no_new_comparison(scenes: Path) -> None:
    done = {at: go(scenes, COSINE % (at, ""), output=scenes / f"out{at}") for at in (0.999, 0.98)}
    counts = {at: summary["duplicate"] for at, summary in done.items()}
    assert 0 < counts[0.999] < counts[0.98]
    run = Run.open(str(scenes / "out0.98"))
    files = sorted(p.name for p in Path(run.store.url).rglob("pairs/*/*"))
    for at, duplicates in counts.items():
        asked = what_if(run, [], {"image_descriptor": at})
        assert (asked.counts()["duplicate"], asked.never_compared) == (duplicates, 0)
    fewer = what_if(run, ["key < 's20'"], {"image_descriptor": 0.999})
    assert 0 < fewer.counts()["duplicate"] < counts[0.999]
    with pytest.raises(MissingError, match=r"goes down to 0\.9\b") as caught:
        what_if(run, [], {"image_descriptor": 0.9})
    assert "--write" in caught.value.fix
    assert sorted(p.name for p in Path(run.store.url).rglob("pairs/*/*")) == files


def test_the_stock_goes_down_to_the_floor(scenes: Path) -> None:
    go(scenes, COSINE % (0.99, ", with: {floor: 0.5}"))
    run = Run.open(str(scenes / "out"))
    wide = what_if(run, [], {"image_descriptor": 0.6}).counts()
    again = go(scenes, COSINE % (0.6, ""), output=scenes / "again")
    assert wide["duplicate"] == again["duplicate"] >= 24


def test_a_threshold_below_the_floor_takes_the_floor_with_it(scenes: Path) -> None:
    go(scenes, COSINE % (0.99, ", with: {floor: 0.9}"))
    lower = with_thresholds(Run.open(str(scenes / "out")).recipe, {"image_descriptor": 0.8})
    options: dict[str, Any] = {"output": str(scenes / "lower"), "workers": 0, "quiet": True}
    again = go(scenes, COSINE % (0.8, ""), output=scenes / "again")
    assert run_recipe(lower, **options)["duplicate"] == again["duplicate"]


def test_a_threshold_of_nothing_is_refused(scenes: Path) -> None:
    go(scenes, COSINE % (0.99, ""))
    run = Run.open(str(scenes / "out"))
    with pytest.raises(UsageError, match="near duplicates by 'image_phash'") as caught:
        what_if(run, [], {"image_phash": 3})
    assert "'image_descriptor'" in caught.value.fix
    with pytest.raises(UsageError, match="cannot be a similarity"):
        what_if(run, [], {"image_descriptor": 2})


def test_clusters_in_a_run_are_certified_and_told(scenes: Path) -> None:
    exact = go(scenes, COSINE % (0.98, ""))
    steps = COSINE % (0.98, ", name: alike, with: {exact_below: 0, clusters: 4, spill: 3}")
    found = go(scenes, steps, output=scenes / "other")
    assert found["duplicate"] == exact["duplicate"]
    (told,) = found["comparisons"]
    assert (told["method"], told["clusters"], told["name"], told["values"]) == ("clusters", 4, "alike", 36)
    assert told["stored_down_to"] == pytest.approx(0.93)
    assert told["certificate"]["missed"] == 0
    assert told["certificate"]["trials"] > 10
    assert json.dumps(found)  # as `sluice run --json` prints it
    (exactly,) = exact["comparisons"]
    assert (exactly["method"], exactly["compared"]) == ("exact", 36 * 35 // 2)


def test_a_run_does_not_depend_on_what_was_compared_before(scenes: Path) -> None:
    steps = "  - keep: key >= '%s'\n" + COSINE % (0.98, ", with: {exact_below: 0, clusters: 6, spill: 0}")
    go(scenes, steps % "s00")
    go(scenes, steps % "s10", output=scenes / "after", store=str(scenes / "sluice-store"))
    go(scenes, steps % "s10", output=scenes / "fresh", store=str(scenes / "other"))
    assert fates_of(scenes / "after") == fates_of(scenes / "fresh")


@pytest.mark.parametrize("start", ["s04", "s12"])
def test_centroids_are_those_of_the_samples_left_whatever_was_compared_before(
    scenes: Path, start: str
) -> None:
    steps = "  - keep: key >= '%s'\n"
    steps += COSINE % (0.97, ", semantics: components, keep_by: centroid_near, with: {clusters: 1}")
    go(scenes, steps % "s00")
    asked = what_if(Run.open(str(scenes / "out")), [f"key >= '{start}'"])
    go(scenes, steps % start, output=scenes / "after", store=str(scenes / "sluice-store"))
    go(scenes, steps % start, output=scenes / "fresh", store=str(scenes / "other"))
    fresh = fates_of(scenes / "fresh")
    assert fates_of(scenes / "after") == fresh
    stays = [row["ordinal"] for row in fresh.values() if row["fate"] == "kept"]
    assert np.flatnonzero(asked.kept).tolist() == sorted(stays)


@pytest.mark.parametrize(("policy", "best"), [("centroid_far", min), ("centroid_near", max)])
def test_the_distance_from_the_centroid_decides_who_stays(
    scenes: Path, policy: str, best: Callable[..., Any]
) -> None:
    go(scenes, COSINE % (0.97, f", semantics: components, keep_by: {policy}, with: {{clusters: 1}}"))
    table = Run.open(str(scenes / "out")).table
    vectors = table.vectors("image_descriptor")[2].astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ (vectors.mean(axis=0) / np.linalg.norm(vectors.mean(axis=0)))
    groups: dict[int, list[int]] = {}
    for row in fates_of(scenes / "out").values():
        stands = row["ordinal"] if row["duplicate_of"] is None else row["duplicate_of"]
        groups.setdefault(stands, []).append(row["ordinal"])
    assert len(groups) < 36
    for stands, members in groups.items():
        assert cosines[stands] == pytest.approx(best(cosines[members]), abs=1e-3)
    again = go(scenes, COSINE % (0.97, f", semantics: components, keep_by: {policy}, with: {{clusters: 1}}"))
    assert again["duplicate"] == 36 - len(groups)


def test_random_keeps_are_by_luck_alone(scenes: Path) -> None:
    go(scenes, COSINE % (0.98, ", keep_by: random"))
    first = kept(scenes)
    assert any(key >= "s12" for key in first)
    assert len(first) >= 12


def test_of_equally_preferred_samples_the_lowest_id_stays_whatever_the_source_order(scenes: Path) -> None:
    go(scenes, COSINE % (0.97, ", semantics: components, keep_by: image_width_px desc"))
    rows = list(fates_of(scenes / "out").values())
    groups: dict[int, list[tuple[str, int]]] = {}
    for row in rows:
        stands = row["ordinal"] if row["duplicate_of"] is None else row["duplicate_of"]
        groups.setdefault(stands, []).append((row["id"], row["ordinal"]))
    assert all(min(members)[1] == stands for stands, members in groups.items())
    assert any(min(ordinal for _, ordinal in members) != stands for stands, members in groups.items())


# Samples with several items.


def stereo(tmp_path: Path) -> Path:
    """Pairs of scenes: two new ones, one of them again with a new one, both again, and one of each of the last."""
    pairs = {"a": (0, 1), "b": (0, 2), "c": (1, 0), "d": (2, 3), "e": (7, 7)}
    samples = [
        {f"{side}.png": scene(k) for side, k in zip(("left", "right"), two, strict=True)}
        | {"txt": name.encode()}
        for name, two in pairs.items()
    ]
    write_source(tmp_path / "in", "folder", samples)
    return tmp_path


@pytest.mark.parametrize(
    "step",
    ["by: image_descriptor, similarity: 0.99", "by: image_phash, distance: 2", "by: image_content_hash"],
)
@pytest.mark.parametrize(
    ("above", "fallen"),
    [
        # b shares one of two with a; c both with a; d one with b, which stays or falls.
        (0.5, {"s02": "s00"}),
        (0.4, {"s01": "s00", "s02": "s00"}),
        (0, {"s01": "s00", "s02": "s00"}),
        (0.99, {"s02": "s00"}),
    ],
)  # fmt: skip
def test_samples_fall_by_the_share_of_their_items(
    tmp_path: Path, step: str, above: float, fallen: dict[str, str]
) -> None:
    summary = go(stereo(tmp_path), f"  - dedup: {{{step}, level: item, drop_sample_above: {above}}}")
    assert balanced(summary)
    fates = fates_of(tmp_path / "out")
    names = {row["ordinal"]: key for key, row in fates.items()}
    found = {key: names[row["duplicate_of"]] for key, row in fates.items() if row["fate"] == "duplicate"}
    assert found == fallen
    (told,) = why(Run.open(str(tmp_path / "out")), "s02")
    assert told["duplicate_of"]["key"] == "s00"


def test_items_need_a_level(tmp_path: Path) -> None:
    stereo(tmp_path)
    with pytest.raises(PlanError, match="up to 2 image items") as caught:
        go(tmp_path, COSINE % (0.9, ""))
    assert "level: item" in caught.value.fix
    with pytest.raises(RecipeError, match="needs `level: item`"):
        go(tmp_path, COSINE % (0.9, ", drop_sample_above: 0.5"))


def test_items_that_were_dropped_are_not_compared(tmp_path: Path) -> None:
    steps = "  - drop_items: image_width_px < 90\n"
    samples = [
        {"left.png": scene(0), "right.png": scene(1), "txt": b"a"},
        {"left.png": scene(0), "right.png": scene(2), "txt": b"b"},
    ]
    small = io.BytesIO()
    Image.open(io.BytesIO(scene(5))).resize((32, 32)).save(small, format="PNG")
    samples += [{"left.png": small.getvalue(), "right.png": scene(k), "txt": b"c"} for k in (3, 4)]
    write_source(tmp_path / "in", "folder", samples)
    dedup = "  - dedup: {by: image_content_hash, level: item, drop_sample_above: 0}"
    assert go(tmp_path, dedup)["duplicate"] == 2
    assert go(tmp_path, steps + dedup, output=tmp_path / "other")["duplicate"] == 1
