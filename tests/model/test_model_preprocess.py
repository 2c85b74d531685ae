"""What a model is shown of a picture is what transformers itself would show it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPImageProcessorPil, ConvNextImageProcessorPil, ViTImageProcessorPil

from sluice.codec import decode
from sluice.errors import Declined, MissingError
from sluice.model.preprocess import Foreign, Preprocess, preprocess

SQUARE = {"height": 48, "width": 48}


def _both(processor: object, folder: Path, rgb: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    processor.save_pretrained(folder)  # type: ignore[attr-defined]
    (folder / "config.json").write_text("{}")
    theirs = processor(Image.fromarray(rgb), return_tensors="pt")["pixel_values"]  # type: ignore[operator]
    ours = preprocess(str(folder))
    return ours.on(torch.from_numpy(ours(rgb))[None]), theirs


@pytest.fixture(scope="module")
def cropping(tmp_path_factory: pytest.TempPathFactory) -> tuple[Preprocess, CLIPImageProcessorPil]:
    folder = tmp_path_factory.mktemp("clip")
    theirs = CLIPImageProcessorPil()
    theirs.save_pretrained(folder)
    (folder / "config.json").write_text("{}")
    ours = preprocess(str(folder))
    assert isinstance(ours, Preprocess)
    return ours, theirs


def _assert_equal(pair: tuple[Preprocess, CLIPImageProcessorPil], rgb: np.ndarray) -> None:
    ours, theirs = pair
    expected = theirs(Image.fromarray(rgb), return_tensors="pt")["pixel_values"]
    assert torch.equal(ours.on(torch.from_numpy(ours(rgb))[None]), expected)


def test_photographs_come_out_equal_to_the_last_bit(
    cropping: tuple[Preprocess, CLIPImageProcessorPil], data_dir: Path
) -> None:
    paths = [p for p in sorted((data_dir / "photos").glob("*.jpg")) if p.stat().st_size < 200_000][:25]
    for path in paths:
        _assert_equal(cropping, decode(path.read_bytes()))


@settings(max_examples=30, deadline=None)
@given(height=st.integers(4, 400), width=st.integers(4, 400), seed=st.integers(0, 9))
def test_any_ordinary_size_comes_out_equal(
    cropping: tuple[Preprocess, CLIPImageProcessorPil], height: int, width: int, seed: int
) -> None:
    if max(height, width) > 16 * min(height, width):
        return
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    _assert_equal(cropping, rgb)


@pytest.mark.parametrize(
    "processor",
    [
        ViTImageProcessorPil(size=SQUARE),
        ViTImageProcessorPil(size=SQUARE, resample=Image.Resampling.NEAREST, rescale_factor=0.5),
        CLIPImageProcessorPil(size={"shortest_edge": 60}, crop_size={"height": 41, "width": 60}),
        CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size=SQUARE),
        CLIPImageProcessorPil(do_normalize=False),
        ConvNextImageProcessorPil(size={"shortest_edge": 48}),
    ],
    ids=["square", "nearest", "odd crop", "filled crop", "not normalised", "another kind"],
)
def test_every_kind_of_preprocessor_comes_out_equal(processor: object, tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (97, 131, 3), dtype=np.uint8)
    ours, theirs = _both(processor, tmp_path, rgb)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1), (3, 3), (1, 3)])
def test_strips_and_single_pixels_take_no_time_and_keep_their_colour(
    cropping: tuple[Preprocess, CLIPImageProcessorPil], shape: tuple[int, int]
) -> None:
    rgb = np.full((*shape, 3), (10, 200, 90), np.uint8)
    started = time.process_time()
    shown = cropping[0](rgb)
    assert time.process_time() - started < 0.5
    assert shown.shape == (3, 224, 224)
    assert (shown == np.array([10, 200, 90], np.uint8)[:, None, None]).all()


def test_of_a_strip_the_middle_is_shown(cropping: tuple[Preprocess, CLIPImageProcessorPil]) -> None:
    ramp = np.broadcast_to((np.arange(10_000) // 50).astype(np.uint8)[None, :, None], (100, 10_000, 3))
    shown = cropping[0](np.ascontiguousarray(ramp))
    expected = CLIPImageProcessorPil()(Image.fromarray(ramp[:, 4500:5500]), return_tensors="np")
    middle = cropping[0].on(torch.from_numpy(shown)[None]).numpy()
    assert np.abs(middle - expected["pixel_values"]).max() < 0.03  # two of 256 levels


def test_a_strip_is_declined_by_a_preprocessor_that_would_blow_it_up(tmp_path: Path) -> None:
    ConvNextImageProcessorPil(size={"shortest_edge": 48}).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    ours = preprocess(str(tmp_path))
    assert isinstance(ours, Foreign)
    with pytest.raises(Declined, match="blows up"):
        ours(np.zeros((1, 10_000, 3), np.uint8))


def test_a_model_without_its_preprocessor_file_is_incomplete(tiny_model: Callable[[str], str]) -> None:
    with pytest.raises(MissingError, match=r"it has no preprocessor_config\.json"):
        preprocess(tiny_model("t5"))


@pytest.mark.parametrize("name", ["preprocessor_config.json", "config.json"])
def test_a_damaged_file_is_one_finding_that_names_the_model(
    name: str, tiny_model: Callable[[str], str], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model("clip"), tmp_path / "model")
    (folder / name).write_text("{")
    with pytest.raises(MissingError, match="cannot be loaded as image processor") as caught:
        preprocess(str(folder))
    assert caught.value.where == str(folder)
