"""Learned operators on videos say what those on images say of the same frames; with small models of the real kind."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import stand_ins
from made_videos import made, numbered, scenes
from sluice.codec.video import decode, frames_at, keyframes, uniform_times
from sluice.errors import PlanError
from sluice.operator import Instance, Program
from sluice.sample import Item, Media, Sample

Bound = Callable[..., Instance]


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Bound:
    folder = tmp_path_factory.mktemp("models")
    return lambda name, **settings: stand_ins.bind(name, folder, **settings)


@pytest.fixture(scope="module")
def clip() -> Media:
    """Three scenes in three seconds at ten frames a second, as a view that leaves half a second out at both ends."""
    data = made(scenes([12, 9, 19], 160, 96), fps=10)
    return Media(data=data, size=len(data), start_s=0.5, end_s=3.5)


def png(frame: Any) -> Item:
    target = io.BytesIO()
    Image.fromarray(frame.rgb()).save(target, "PNG")
    return Item("image", media=Media(data=target.getvalue()))


def of_video(instance: Instance, media: Media, text: str = "") -> list[Any]:
    """All columns of one video, in order."""
    items = (Item("video", "video/mp4", "mp4", media=media), *([Item("text", text=text)] if text else []))
    measured = Program([instance])([Sample("v", "v", items)])
    assert measured.notes == [[]]
    return [values[0][0] for values in measured.columns.values()]


def of_pictures(instance: Instance, frames: list[Any], text: str = "") -> list[Any]:
    """The value of an image operator of each frame, given as a picture of its own."""
    more = (Item("text", text=text),) if text else ()
    samples = [Sample(str(k), str(k), (png(frame), *more)) for k, frame in enumerate(frames)]
    (values,) = Program([instance])(samples).columns.values()
    return [value[0] for value in values]


def test_aesthetics_are_the_least_and_the_mean_of_a_frame_a_second(bound: Bound, clip: Media) -> None:
    seconds = of_pictures(bound("image_aesthetics"), frames_at(clip, [0.5, 1.5, 2.5]))
    assert len(set(seconds)) > 1
    assert of_video(bound("video_aesthetics"), clip) == [min(seconds), pytest.approx(np.mean(seconds))]
    three = of_pictures(bound("image_aesthetics"), frames_at(clip, uniform_times(0.5, 3.5, 3)))
    assert of_video(bound("video_aesthetics", frames=3), clip) == [min(three), pytest.approx(np.mean(three))]


@pytest.mark.parametrize("kind", ["nsfw", "watermark"])
def test_classifiers_see_key_frames(bound: Bound, clip: Media, kind: str) -> None:
    keys = of_pictures(bound(f"image_{kind}"), list(keyframes(clip)))
    assert len(set(keys)) > 1
    for how, value in (("mean", np.mean(keys)), ("max", max(keys)), ("min", min(keys))):
        assert of_video(bound(f"video_{kind}", reduce=how), clip) == [pytest.approx(value)]
    assert of_video(bound(f"video_{kind}"), clip) == [pytest.approx(np.mean(keys))]


def test_a_text_is_compared_with_each_key_frame(bound: Bound, clip: Media) -> None:
    text = "a picture of a cat"
    keys = of_pictures(bound("image_text_similarity"), list(keyframes(clip)), text)
    for how, value in (("mean", np.mean(keys)), ("max", max(keys))):
        found = of_video(bound("video_frames_text_similarity", reduce=how), clip, text)
        assert found == [pytest.approx(value, abs=1e-6)]
    silent = Sample("v", "v", (Item("video", "video/mp4", "mp4", media=clip),))
    measured = Program([bound("video_frames_text_similarity")])([silent])
    assert [note.reason for note in measured.notes[0]] == ["no text"]


@pytest.mark.parametrize(
    ("video", "image"), [("video_embedding", "clip_embedding"), ("video_descriptor", "image_descriptor")]
)
def test_embeddings_are_the_direction_of_the_frames_mean(
    bound: Bound, clip: Media, video: str, image: str
) -> None:
    frames = of_pictures(bound(image), frames_at(clip, uniform_times(0.5, 3.5, 8)))
    (found,) = of_video(bound(video), clip)
    mean = np.mean(frames, axis=0)
    assert found == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert found.dtype == np.float32


def test_copies_of_real_clips_are_near_and_other_clips_are_not(bound: Bound, data_dir: Path) -> None:
    names = ("data-juicer__video1.mp4", "mmaction2__demo.mp4", "decord__flipping_a_pancake.mkv")
    found, copies = [], []
    for name in names:
        media = Media(str(data_dir / "videos" / name), start_s=0.0, end_s=2.0)
        small = [frame.small_rgb(160, 96) for frame in decode(media)][::2]
        copy = made(small, fps=12, options={"crf": "32"})
        found += of_video(bound("video_descriptor"), media)
        copies += of_video(bound("video_descriptor"), Media(data=copy, size=len(copy)))
    near = np.array(found) @ np.array(copies).T
    assert near.diagonal().min() > 0.95
    assert near[~np.eye(3, dtype=bool)].max() < 0.7


def test_a_video_without_frames_to_judge_has_no_value(bound: Bound) -> None:
    flat = made((np.full((64, 96, 3), 128, np.uint8) for _ in range(10)), fps=10)
    cut = made(numbered(60), fps=20)
    broken = cut[: len(cut) // 2]
    samples = [
        Sample(key, key, (Item("video", "video/mp4", "mp4", media=Media(data=data, size=len(data))),))
        for key, data in (("flat", flat), ("broken", broken))
    ]
    measured = Program([bound("video_descriptor"), bound("video_aesthetics")])(samples)
    assert measured.columns["video_descriptor"] == [[None], [None]]
    assert measured.columns["video_aesthetics_min"][1] == [None]
    assert {note.reason for note in measured.notes[0]} == {"no detail"}
    assert {note.kind for note in measured.notes[1]} == {"unreadable"}


def test_two_ways_to_choose_frames_are_refused(bound: Bound) -> None:
    with pytest.raises(PlanError):
        bound("video_nsfw", fps=1, frames=3)
