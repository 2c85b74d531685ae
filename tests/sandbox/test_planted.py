"""Captioned shapes: their captions are true, and what is planted is where it is said to be, as operators see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sluice.codec.video import decode
from sluice.errors import UsageError
from sluice.operator import Program, registry
from sluice.readers import detect_format, open_reader
from sluice.sample import Sample
from sluice.sandbox.proxy.planted import Planted, write_planted
from sluice.sandbox.proxy.shapes import Scene, drawn, scene
from sluice.storage import Location


def samples_of(folder: Path) -> list[Sample]:
    reader = open_reader(Location(folder), detect_format(folder))
    return [sample for part in reader.slices() for sample in reader.read(part)]


def facts_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_operators_see_the_faults_where_they_were_planted(tmp_path: Path) -> None:
    assert write_planted(tmp_path, Planted(90, captions_shuffled=1 / 3, noisy=1 / 3)) == 90

    samples = samples_of(tmp_path)
    asked = [
        registry().bind("image_noise"),
        registry().bind("sample_metadata_number", {"field": "caption_agreement"}),
    ]
    columns = Program(asked)(samples).columns
    noise = np.array(columns["image_noise"])[:, 0]
    agreement = np.array(columns["sample_metadata_number"])

    assert {item.modality for item in samples[0].items} == {"image", "text", "metadata"}
    parts = np.array([facts["part"] for facts in facts_of(tmp_path)])
    assert [int((parts == part).sum()) for part in ("clean", "shuffled", "noisy")] == [30, 30, 30]
    assert noise[parts == "noisy"].min() > noise[parts != "noisy"].max() + 10
    assert agreement[parts != "shuffled"].min() >= 0.95 > 0.8 >= agreement[parts == "shuffled"].max()
    assert len(set(agreement.tolist())) > 60, "thirds can be cut: few ties"


def test_a_fault_changes_nothing_but_itself(tmp_path: Path) -> None:
    write_planted(tmp_path / "clean", Planted(12, seed=3))
    write_planted(tmp_path / "faulty", Planted(12, captions_shuffled=0.5, noisy=0.25, seed=3))
    write_planted(tmp_path / "again", Planted(12, captions_shuffled=0.5, noisy=0.25, seed=3))

    for number, facts in enumerate(facts_of(tmp_path / "faulty")):
        clean, faulty, again = (tmp_path / name / f"{number:05d}" for name in ("clean", "faulty", "again"))
        same = {
            s: clean.with_suffix(s).read_bytes() == faulty.with_suffix(s).read_bytes()
            for s in (".png", ".txt")
        }
        assert same == {".png": facts["part"] != "noisy", ".txt": facts["part"] != "shuffled"}
        assert faulty.with_suffix(".png").read_bytes() == again.with_suffix(".png").read_bytes()


def test_shapes_move_as_their_captions_say(tmp_path: Path) -> None:
    write_planted(tmp_path, Planted(20, noisy=0.2, frames=8, seed=1))
    ways = {"right": (1, 1), "left": (1, -1), "down": (0, 1), "up": (0, -1), "still": (0, 0)}

    for sample in samples_of(tmp_path):
        (_, video), (_, text) = sample.of("video")[0], sample.of("text")[0]
        assert video.media is not None
        assert text.media is not None
        frames = [frame.rgb() for frame in decode(video.media)]
        assert len(frames) == 8
        if facts_of(tmp_path)[int(sample.key)]["part"] == "noisy":
            continue
        axis, sign = next(way for word, way in ways.items() if word in text.media.read().decode().split())
        moved = [middle(frames[-1])[k] - middle(frames[0])[k] for k in (0, 1)]
        assert moved[axis] * sign > 8 if sign else np.abs(moved).max() < 1
        assert abs(moved[1 - axis]) < 1


def middle(picture: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The middle (row, column) of what differs from the ground."""
    differs = np.abs(picture.astype(int) - picture[0, 0]).max(2) > 40
    rows, columns = np.nonzero(differs)
    return float(rows.min() + rows.max()) / 2, float(columns.min() + columns.max()) / 2


def test_agreement_is_the_share_of_true_words() -> None:
    shown = Scene("red", "ring", "small", "black", place="top")
    assert shown.agreement(shown) == 1
    assert shown.agreement(Scene("red", "ring", "large", "black", place="left")) == 0.6
    assert shown.caption == "a small red ring at the top on black ground"


def test_scenes_are_drawn_alike_from_equal_streams() -> None:
    one, other = (np.random.default_rng(5) for _ in range(2))
    assert scene(one, moving=True) == scene(other, moving=True)
    what = Scene("red", "bar", "large", "pink", place="bottom right")
    assert np.array_equal(drawn(what, one, 24), drawn(what, other, 24))
    assert drawn(what, one, 24).shape == (1, 24, 24, 3)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 9, "noisy": 0.6, "captions_shuffled": 0.5}])
def test_what_cannot_be_planted_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cannot be planted"):
        Planted(**wrong)
