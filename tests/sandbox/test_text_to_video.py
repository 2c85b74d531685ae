"""The built-in model that makes videos of captions, as a trainer and an evaluator."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sluice.codec.encode import encode
from sluice.codec.video import decode
from sluice.errors import TrialError, UnreadableError
from sluice.sample import Media
from sluice.sandbox.proxy.captioned import _frames, read_captioned
from sluice.sandbox.proxy.planted import Planted, write_planted
from sluice.sandbox.proxy.presets import TEXT_TO_VIDEO
from sluice.sandbox.proxy.text_to_video import KIND, TextToVideo, as_videos, generate
from sluice.sandbox.registry import registry
from sluice.sandbox.train.protocol import Evaluator, Trained, Trainer

SHAPE = TEXT_TO_VIDEO["smoke"].shape


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moving")
    write_planted(folder / "train", Planted(40, frames=8, seed=1))
    write_planted(folder / "held-out", Planted(12, frames=8, seed=2))
    return folder


def train(data: Path, output: Path, seed: int = 0, **settings: Any) -> Trained:
    output.mkdir()
    made = registry().get("trainer", "text_to_video").make({"preset": "smoke", "device": "cpu", **settings})
    assert isinstance(made, Trainer)
    return made.train(data, output, seed=seed, log=output / "log.txt")


def scores(model: Path, held_out: Path | None, seed: int = 0) -> dict[str, float]:
    made = registry().get("evaluator", "text_to_video").make({"device": "cpu"})
    assert isinstance(made, Evaluator)
    found = made.evaluate(model, held_out, model, seed=seed, log=model / "log.txt")
    assert found.keys() == made.metrics.keys()
    assert all(np.isfinite(value) for value in found.values())
    return dict(found)


def test_it_learns_and_learns_the_same_again(shapes: Path, tmp_path: Path) -> None:
    untaught = scores(train(shapes / "train", tmp_path / "untaught", steps=1).model, shapes / "held-out")
    first = train(shapes / "train", tmp_path / "first", steps=15)
    again = train(shapes / "train", tmp_path / "again", steps=15)
    taught = scores(first.model, shapes / "held-out")

    assert (first.model / "model.pt").read_bytes() == (again.model / "model.pt").read_bytes()
    assert taught == scores(again.model, shapes / "held-out")
    assert taught["denoising_error"] < 0.7 * untaught["denoising_error"]
    assert taught["frechet_distance"] < untaught["frechet_distance"]
    assert (first.samples_seen, first.diverged) == (15 * 32, None)


def test_patches_are_put_together_again_as_they_were_cut() -> None:
    model = TextToVideo(SHAPE)
    videos = torch.randn(2, 3, 8, 16, 16)
    patches = model._patches(videos)
    assert torch.equal(model._whole(patches), videos)
    assert torch.equal(patches[0, 0].reshape(3, 4, 4, 4), videos[0, :, :4, :4, :4])


def test_generation_of_a_model_that_knows_the_video_gives_it() -> None:
    class Knowing(TextToVideo):
        def forward(self, noisy: torch.Tensor, level: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
            return torch.full_like(noisy, 0.5)

    words = torch.ones(2, SHAPE.form.length, dtype=torch.int64)
    made = generate(Knowing(SHAPE), words, SHAPE.form, torch.Generator().manual_seed(0))
    assert made.shape == (2, 3, 8, 16, 16)
    assert torch.allclose(made, torch.tensor(0.5), atol=1e-5)


def test_stacks_of_frames_are_videos_too(shapes: Path, tmp_path: Path) -> None:
    clip = read_captioned(shapes / "train", SHAPE.form, most=1)
    for k, frame in enumerate(clip.pixels[0]):
        (tmp_path / f"a.{k:03d}.png").write_bytes(encode(frame, "png"))
    (tmp_path / "a.txt").write_text("a shape moves")
    (tmp_path / "b.png").write_bytes(encode(clip.pixels[0, 0], "png"))
    (tmp_path / "b.txt").write_text("one picture is no video")

    found = read_captioned(tmp_path, SHAPE.form)

    assert np.array_equal(found.pixels, clip.pixels)
    assert found.failed == {"no video": 1}
    assert as_videos(torch.from_numpy(found.pixels)).shape == (1, 3, 8, 16, 16)


def test_frames_are_spread_over_a_video_or_over_a_part_of_it(tmp_path: Path) -> None:
    write_planted(tmp_path / "long", Planted(1, frames=20, seed=4))
    every = [frame.rgb() for frame in decode(Media(str(tmp_path / "long" / "00000.mp4")))]
    whole = replace(SHAPE.form, side_px=32)
    found = read_captioned(tmp_path / "long", whole).pixels[0]
    assert np.array_equal(found, np.stack([every[20 * k // 8] for k in range(8)]))
    part = Media(str(tmp_path / "long" / "00000.mp4"), start_s=0.5, end_s=1.5)  # of 8 frames a second
    assert np.array_equal(np.stack(list(_frames(part, whole))), np.stack(every[4:12]))
    with pytest.raises(UnreadableError, match="no frame lies in the span"):
        list(_frames(Media(str(tmp_path / "long" / "00000.mp4"), start_s=9.0, end_s=9.1), whole))


def test_pictures_are_no_videos_and_broken_ones_are_counted(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes / "held-out", tmp_path / "cut")
    first = tmp_path / "cut" / "00000.mp4"
    first.write_bytes(first.read_bytes()[:200])
    assert len(read_captioned(tmp_path / "cut", SHAPE.form)) == 11

    write_planted(tmp_path / "still", Planted(3))
    with pytest.raises(TrialError) as caught:
        train(tmp_path / "still", tmp_path / "model")
    assert (caught.value.reason, "3 × no video" in caught.value.what) == ("no result: too few samples", True)
    with pytest.raises(TrialError):
        KIND.load(tmp_path, "cpu")
    with pytest.raises(TrialError, match="no held-out set"):
        scores(tmp_path, None)
