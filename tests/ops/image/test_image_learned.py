"""Learned measures of images equal a plain pass of transformers, and never make a number of nonsense."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification

import tiny_models
from sluice.errors import MissingError, PlanError
from sluice.model.classifier import label_index, labels
from sluice.model.heads import aesthetics, nsfw, sigmoid
from sluice.operator import Instance, Measured, Program, registry
from sluice.sample import Item, Media, Sample

Tiny = Callable[[str], str]
MLP = "models/improved-aesthetic-predictor__sac+logos+ava1-l14-linearMSE.pth"


def _png(pixels: NDArray[np.uint8]) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def _samples(*pictures: bytes) -> list[Sample]:
    return [
        Sample(id=str(k), key=str(k), items=(Item("image", media=Media(data=p)),))
        for k, p in enumerate(pictures)
    ]


def _noise(count: int, height: int = 40, width: int = 50) -> list[bytes]:
    random = np.random.default_rng(0)
    return [_png(random.integers(0, 256, (height, width, 3), dtype=np.uint8)) for _ in range(count)]


def _clip(
    model: str, name: str = "clip_embedding", settings: dict[str, Any] | None = None, **clip: Any
) -> Instance:
    return registry().bind(name, settings or {}, with_={"clip": {"model": model, **clip}})


def _values(measured: Measured, name: str) -> list[Any]:
    return [value for entry in measured.columns[name] for value in entry]


def _plain(folder: str, pictures: Sequence[bytes], kind: Any = AutoModel) -> list[torch.Tensor]:
    """One pass of processor and model a picture, as transformers' documentation writes it."""
    model = kind.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    results = []
    for data in pictures:
        inputs = processor(Image.open(io.BytesIO(data)).convert("RGB"), return_tensors="pt")
        with torch.inference_mode():
            results.append(
                model.get_image_features(**inputs).pooler_output[0]
                if kind is AutoModel
                else model(**inputs).logits.softmax(-1)[0]
            )
    return results


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_embeddings_equal_a_plain_pass_to_the_last_bit(tiny_model: Tiny, kind: str, data_dir: Path) -> None:
    names = ("data-juicer__cat.jpg", "Pillow__hopper.webp", "scikit-image__coins.png")
    pictures = [(data_dir / "photos" / name).read_bytes() for name in names]
    measured = Program([_clip(tiny_model(kind), batch_size=1)])(_samples(*pictures))
    for ours, theirs in zip(
        _values(measured, "clip_embedding"), _plain(tiny_model(kind), pictures), strict=True
    ):
        precise = theirs.double().numpy()
        assert np.array_equal(ours, (precise / np.linalg.norm(precise)).astype(np.float32))


def test_embeddings_do_not_depend_on_how_many_there_are(tiny_model: Tiny) -> None:
    pictures = _noise(11)
    program = Program([_clip(tiny_model("clip"))])
    together = _values(program(_samples(*pictures)), "clip_embedding")
    for k in (0, 5, 10):
        alone = _values(program(_samples(pictures[k])), "clip_embedding")[0]
        assert np.array_equal(alone, together[k])


def test_batches_and_single_pictures_agree_but_for_rounding(tiny_model: Tiny) -> None:
    pictures = _samples(*_noise(5))
    ones, fours = (
        _values(Program([_clip(tiny_model("clip"), batch_size=size)])(pictures), "clip_embedding")
        for size in (1, 4)
    )
    assert np.abs(np.array(ones) - np.array(fours)).max() < 1e-5


def test_half_precision_is_near_single(tiny_model: Tiny) -> None:
    pictures = _samples(*_noise(3))
    single, half = (
        np.array(_values(Program([_clip(tiny_model("clip"), dtype=d)])(pictures), "clip_embedding"))
        for d in ("float32", "bfloat16")
    )
    assert half.dtype == np.float32
    assert not np.array_equal(single, half)
    assert (single * half).sum(axis=1).min() > 0.999


def test_operators_on_one_model_share_one_pass(tiny_model: Tiny, tmp_path: Path) -> None:
    heads = (
        {"head": tiny_models.nsfw_head(tmp_path / "nsfw")},
        {"head": tiny_models.aesthetics_head(tmp_path / "mlp")},
    )
    instances = [
        _clip(tiny_model("clip")),
        _clip(tiny_model("clip"), "image_nsfw", heads[0]),
        _clip(tiny_model("clip"), "image_aesthetics", heads[1]),
    ]
    assert Program(instances).step_names.count("clip") == 1
    assert Program(instances).step_names.count("model_pixels") == 1


def test_precision_and_batch_are_part_of_what_made_a_score(tiny_model: Tiny) -> None:
    made = [_clip(tiny_model("clip"), **more) for more in ({}, {"dtype": "bfloat16"}, {"batch_size": 3})]
    assert len({instance.fingerprint for instance in made}) == 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1)])
def test_pixels_and_strips_have_embeddings(tiny_model: Tiny, shape: tuple[int, int]) -> None:
    picture = _png(np.full((*shape, 3), 90, np.uint8))
    (value,) = _values(Program([_clip(tiny_model("clip"))])(_samples(picture)), "clip_embedding")
    assert np.linalg.norm(value) == pytest.approx(1, abs=1e-6)


def test_broken_pictures_fail_alone(tiny_model: Tiny) -> None:
    good, other = _noise(2)
    measured = Program([_clip(tiny_model("clip"))])(_samples(good, other[:200], b"no picture", other))
    values = _values(measured, "clip_embedding")
    assert [v is None for v in values] == [False, True, True, False]
    assert [[n.kind for n in notes] for notes in measured.notes] == [[], ["unreadable"], ["unreadable"], []]


def _spoilt(folder: str, target: Path, name: str, value: float) -> str:
    """A copy of a model with one weight set to a value everywhere."""
    target.mkdir()
    for file in Path(folder).iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    weights = load_file(target / "model.safetensors")
    weights[name] = torch.full_like(weights[name], value)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return str(target)


@pytest.mark.parametrize(("weight", "reason"), [(float("nan"), "not a number"), (0.0, "zero vector")])
def test_embeddings_that_are_none_are_declined(
    tiny_model: Tiny, tmp_path: Path, weight: float, reason: str
) -> None:
    model = _spoilt(tiny_model("clip"), tmp_path / "spoilt", "visual_projection.weight", weight)
    head = {"head": tiny_models.nsfw_head(tmp_path / "nsfw")}
    instances = [_clip(model), _clip(model, "image_nsfw", head)]
    measured = Program(instances)(_samples(*_noise(3)))
    assert measured.columns["clip_embedding"] == measured.columns["image_nsfw"] == [[None]] * 3
    assert [[(n.kind, n.reason, n.operator) for n in notes] for notes in measured.notes] == [
        [("declined", reason, "clip")]
    ] * 3


def test_the_published_aesthetics_heads_run_on_the_shared_embedding(tiny_model: Tiny, data_dir: Path) -> None:
    pictures = _samples(*_noise(3))
    linear = "models/aesthetic-predictor__sa_0_4_vit_l_14_linear.pth"
    for path in (MLP, linear):
        head = str(data_dir / path)
        instances = [
            _clip(tiny_model("clip")),
            _clip(tiny_model("clip"), "image_aesthetics", {"head": head}),
        ]
        measured = Program(instances)(pictures)
        for vector, score in zip(
            _values(measured, "clip_embedding"), _values(measured, "image_aesthetics"), strict=True
        ):
            assert score == aesthetics(head)(vector)


def test_a_head_for_another_model_fails_the_sample_with_the_sizes(tiny_model: Tiny, data_dir: Path) -> None:
    measured = Program([_clip(tiny_model("siglip"), "image_aesthetics", {"head": str(data_dir / MLP)})])(
        _samples(*_noise(1))
    )
    (note,) = measured.notes[0]
    assert note.kind == "error"
    assert "takes 768 numbers, the embedding has 32" in note.detail


def test_nsfw_by_the_clip_head_is_its_sigmoid(tiny_model: Tiny, tmp_path: Path) -> None:
    head = tiny_models.nsfw_head(tmp_path / "nsfw")
    instances = [_clip(tiny_model("clip")), _clip(tiny_model("clip"), "image_nsfw", {"head": head})]
    measured = Program(instances)(_samples(*_noise(4)))
    expected = [sigmoid(nsfw(head)(vector)) for vector in _values(measured, "clip_embedding")]
    assert _values(measured, "image_nsfw") == expected
    assert len(set(expected)) == 4


def test_nsfw_by_a_classifier_is_the_softmax_of_its_class_and_runs_no_clip(tiny_model: Tiny) -> None:
    settings = {"backend": "classifier", "model": tiny_model("classifier")}
    instance = registry().bind("image_nsfw", settings, with_={"class_probabilities": {"batch_size": 1}})
    assert "clip" not in {i.spec.name for i in instance.closure()}
    pictures = _noise(3)
    measured = Program([instance])(_samples(*pictures))
    expected = _plain(tiny_model("classifier"), pictures, AutoModelForImageClassification)
    assert _values(measured, "image_nsfw") == [float(p[1]) for p in expected]


def test_each_backend_needs_its_own_model_only(tiny_model: Tiny, tmp_path: Path) -> None:
    by_head = _clip(tiny_model("clip"), "image_nsfw", {"head": tiny_models.nsfw_head(tmp_path / "nsfw")})
    by_class = registry().bind("image_nsfw", {"backend": "classifier", "model": tiny_model("classifier")})
    assert by_head.fingerprint != by_class.fingerprint
    with pytest.raises(MissingError, match="laion-nsfw"):
        _ = _clip(tiny_model("clip"), "image_nsfw").fingerprint


def test_a_watermark_is_class_one_or_the_one_that_is_named(tiny_model: Tiny) -> None:
    model, pictures = tiny_model("classifier"), _noise(2)
    bound = [
        registry().bind("image_watermark", {"model": model, "label": label}, alias=f"image_{k}")
        for k, label in enumerate((1, "NSFW", "normal"))
    ]
    measured = Program([registry().bind("image_watermark", {"model": model}), *bound])(_samples(*pictures))
    default, *named = (
        _values(measured, name) for name in ("image_watermark", "image_0", "image_1", "image_2")
    )
    assert default == named[0] == named[1]
    assert np.allclose(np.add(named[1], named[2]), 1)


def test_a_class_that_the_model_does_not_have_is_named_with_those_it_has(tiny_model: Tiny) -> None:
    folder = tiny_model("classifier")
    assert labels(folder) == ["normal", "nsfw"]
    assert label_index(folder, 0) == 0
    for label in ("gore", 2, -1):
        with pytest.raises(PlanError, match="it has: 0 'normal', 1 'nsfw'"):
            label_index(folder, label)
    with pytest.raises(PlanError, match="no label 'gore'"):
        Program([registry().bind("image_watermark", {"model": folder, "label": "gore"})]).open()


def test_an_incomplete_model_names_the_missing_file(tiny_model: Tiny, tmp_path: Path) -> None:
    model = _spoilt(tiny_model("clip"), tmp_path / "cut", "visual_projection.weight", 1.0)
    (tmp_path / "cut" / "model.safetensors").unlink()
    with pytest.raises(MissingError, match="safetensors"):
        Program([_clip(model)]).open()
