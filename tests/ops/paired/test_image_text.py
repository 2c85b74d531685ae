"""Measures of an image with its text equal a plain pass of transformers, whichever text is meant."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    BlipForImageTextRetrieval,
    OwlViTForObjectDetection,
)

from sluice.operator import Instance, Program, registry
from sluice.ops.paired.phrase_grounding_recall import _recall
from sluice.sample import Item, Media, Sample

Tiny = Callable[[str], str]
LONG = "two cats sit on the red grass and " * 300


@pytest.fixture(scope="module")
def photo(data_dir: Path) -> bytes:
    return (data_dir / "photos" / "data-juicer__cat.jpg").read_bytes()


@pytest.fixture(scope="module")
def other(data_dir: Path) -> bytes:
    return (data_dir / "photos" / "data-juicer__img3.jpg").read_bytes()


def _sample(*members: str | bytes) -> Sample:
    items = tuple(
        Item("text", text=m) if isinstance(m, str) else Item("image", media=Media(data=m)) for m in members
    )
    return Sample(id=str(len(members)), key=str(len(members)), items=items)


def _pixels(folder: str, data: bytes) -> torch.Tensor:
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels: torch.Tensor = processor(Image.open(io.BytesIO(data)).convert("RGB"), return_tensors="pt")[
        "pixel_values"
    ]
    return pixels


def _similarity(folder: str, **settings: Any) -> Instance:
    return registry().bind(
        "image_text_similarity", settings, with_={"clip": {"model": folder, "batch_size": 1}}
    )


def _cosine(folder: str, data: bytes, text: str) -> float:
    model, tokens = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    ids = tokens(text, padding="max_length", truncation=True, return_tensors="pt")
    with torch.inference_mode():
        a = model.get_image_features(pixel_values=_pixels(folder, data)).pooler_output
        b = model.get_text_features(**ids).pooler_output
    return float(torch.nn.functional.cosine_similarity(a.double(), b.double())[0])


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@pytest.mark.parametrize("text", ["a photo of a cat", LONG, "\U0001f600 ünïcode"])
def test_similarity_is_the_cosine_of_a_plain_pass(
    tiny_model: Tiny, photo: bytes, kind: str, text: str
) -> None:
    folder = tiny_model(kind)
    measured = Program([_similarity(folder)])([_sample(photo, text)])
    ((ours,),) = measured.columns["image_text_similarity"]
    assert ours == pytest.approx(_cosine(folder, photo, text), abs=1e-6)


def test_each_picture_of_a_document_goes_with_its_nearest_text(
    tiny_model: Tiny, photo: bytes, other: bytes
) -> None:
    folder, texts = tiny_model("clip"), ["a cat", "two dogs on grass", "red"]
    document = _sample(texts[0], photo, texts[1], texts[2], other)
    cosines = {(p, t): _cosine(folder, p, t) for p in (photo, other) for t in texts}
    expected = {
        "nearest": [cosines[photo, texts[0]], cosines[other, texts[2]]],
        "any": [max(cosines[p, t] for t in texts) for p in (photo, other)],
        "all": [min(cosines[p, t] for t in texts) for p in (photo, other)],
    }
    for pair, values in expected.items():
        measured = Program([_similarity(folder, pair=pair)])([document])
        assert measured.columns["image_text_similarity"][0] == pytest.approx(values, abs=1e-6)


def test_pictures_without_a_text_to_compare_have_no_value(tiny_model: Tiny, photo: bytes) -> None:
    program = Program([_similarity(tiny_model("clip"))])
    measured = program([_sample(photo), _sample(photo, " \n"), _sample("a cat"), _sample(photo, "a cat")])
    column = measured.columns["image_text_similarity"]
    assert column[:3] == [[None], [None], []]
    assert column[3][0] is not None
    assert [[n.reason for n in notes] for notes in measured.notes] == [["no text"], ["no text"], [], []]


def test_the_similarity_of_a_picture_shares_the_pass_of_its_embedding(tiny_model: Tiny) -> None:
    folder = tiny_model("clip")
    with_ = {"clip": {"model": folder, "batch_size": 1}}
    names = Program([_similarity(folder), registry().bind("clip_embedding", with_=with_)]).step_names
    assert names.count("clip") == 2  # one of the picture, one of the text


@pytest.mark.parametrize("text", ["a photo of a cat", "red grass " * 40, LONG])
def test_matching_is_the_softmax_of_a_plain_pass(tiny_model: Tiny, photo: bytes, text: str) -> None:
    folder = tiny_model("blip_matching")
    model, tokens = (
        BlipForImageTextRetrieval.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    length = min(512, -(-len(tokens(text, truncation=True, max_length=512)["input_ids"]) // 64) * 64)
    ids = tokens(text, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    with torch.inference_mode():
        scores = model(
            input_ids=ids["input_ids"],
            attention_mask=ids["attention_mask"],
            pixel_values=_pixels(folder, photo),
        ).itm_score
    instance = registry().bind("image_text_matching", {"model": folder, "batch_size": 1})
    ((ours,),) = Program([instance])([_sample(photo, text)]).columns["image_text_matching"]
    assert ours == float(scores.softmax(-1)[0, 1])


def test_padding_hardly_changes_a_match(tiny_model: Tiny, photo: bytes) -> None:
    folder = tiny_model("blip_matching")
    model, tokens = (
        BlipForImageTextRetrieval.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    ids = tokens("a photo of a cat", return_tensors="pt")
    with torch.inference_mode():
        scores = model(
            input_ids=ids["input_ids"],
            attention_mask=ids["attention_mask"],
            pixel_values=_pixels(folder, photo),
        ).itm_score
    instance = registry().bind("image_text_matching", {"model": folder})
    ((ours,),) = Program([instance])([_sample(photo, "a photo of a cat")]).columns["image_text_matching"]
    assert ours == pytest.approx(float(scores.softmax(-1)[0, 1]), abs=1e-6)


def test_matches_do_not_depend_on_their_neighbours(tiny_model: Tiny, photo: bytes, other: bytes) -> None:
    samples = [_sample(p, t) for p in (photo, other) for t in ("a cat", "red grass " * 40, " ", "two dogs")]
    program = Program([registry().bind("image_text_matching", {"model": tiny_model("blip_matching")})])
    together = program(samples).columns["image_text_matching"]
    assert together == [program([sample]).columns["image_text_matching"][0] for sample in samples]
    assert [value is None for (value,) in together] == [False, False, True, False] * 2


def _grounding(tiny_model: Tiny) -> Instance:
    return registry().bind(
        "phrase_grounding_recall",
        {"model": tiny_model("owlvit")},
        with_={"noun_phrases": {"pipeline": tiny_model("tagger")}},
    )


def _reference_recall(folder: str, data: bytes, phrases: list[str]) -> float:
    """The definition over a plain pass, in pixels of the picture, as Data-Juicer computes it."""
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model, tokens = (
        OwlViTForObjectDetection.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    ids = tokens(phrases, padding="max_length", truncation=True, max_length=16, return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**ids, pixel_values=_pixels(folder, data))
    width, height = Image.open(io.BytesIO(data)).size
    (found,) = processor.post_process_object_detection(
        outputs, 0.0, target_sizes=torch.tensor([(height, width)])
    )
    order = found["scores"].argsort(descending=True, stable=True)[: len(phrases)]
    hits: dict[int, list[float]] = {}
    for label, box in zip(found["labels"][order].tolist(), found["boxes"][order].tolist(), strict=True):
        area = (box[2] - box[0]) * (box[3] - box[1])
        if label in hits or area / (width * height) > 0.95:
            continue
        if any(_iou(box, known) > 0.5 for known in hits.values()):
            continue
        hits[label] = box
    return len(hits) / len(phrases)


def _iou(a: list[float], b: list[float]) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(across, 0) * max(down, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("The small cat sits on red grass.", ["the small cat", "red grass"]),
        ("a dog, a dog, the dog!", ["a dog", "the dog"]),
        ("Picture of two cats, dogs", ["picture", "cats", "dogs"]),
        (
            "a cat the dog red grass small picture brown fox quick dogs a photo the cats lazy fox",
            [
                "a cat",
                "the dog",
                "red grass",
                "small picture",
                "brown fox",
                "quick dogs",
                "a photo",
                "the cats",
                "lazy fox",
            ],
        ),
    ],
)
def test_grounding_recall_follows_its_definition(
    tiny_model: Tiny, photo: bytes, text: str, phrases: list[str]
) -> None:
    measured = Program([_grounding(tiny_model)])([_sample(photo, text)])
    expected = _reference_recall(tiny_model("owlvit"), photo, phrases)
    assert measured.columns["phrase_grounding_recall"] == [[expected]]


def test_texts_that_name_nothing_have_no_recall(tiny_model: Tiny, photo: bytes) -> None:
    samples = [_sample(photo, text) for text in ("sits runs", "", "\ud800 of", "a cat")]
    measured = Program([_grounding(tiny_model)])(samples)
    assert [value is None for (value,) in measured.columns["phrase_grounding_recall"]] == [
        True,
        True,
        True,
        False,
    ]
    assert [[n.reason for n in notes] for notes in measured.notes] == [["no phrases"]] * 3 + [[]]


def test_endless_texts_are_grounded_by_their_first_phrases(tiny_model: Tiny, photo: bytes) -> None:
    words = [
        f"{a} {b} {c}"
        for a in ("a", "the")
        for b in ("red", "small", "quick", "lazy")
        for c in ("cat", "dog")
    ]
    text = " sits ".join(
        f"{w} {v}" for w in words for v in ("cat", "dog", "fox", "grass", "photo", "picture", "days")
    )
    measured = Program([_grounding(tiny_model)])([_sample(photo, text * 1000)])
    ((recall,),) = measured.columns["phrase_grounding_recall"]
    assert 0 <= recall <= 1
    assert (recall * 96) == pytest.approx(round(recall * 96))


def test_hits_are_counted_by_phrase_area_and_overlap() -> None:
    whole, left, right, near_left = (
        [0.5, 0.5, 1, 1],
        [0.2, 0.5, 0.3, 0.9],
        [0.8, 0.5, 0.3, 0.9],
        [0.21, 0.5, 0.3, 0.9],
    )

    def recall(*found: tuple[list[float], int, float], phrases: int) -> float:
        logits = np.full((len(found), phrases), -9.0, np.float32)
        for k, (_, label, score) in enumerate(found):
            logits[k, label] = score
        value = _recall(np.array([box for box, _, _ in found], np.float32), logits)
        assert isinstance(value, float)
        return value

    assert recall((left, 0, 3), (right, 1, 2), phrases=2) == 1.0
    assert recall((left, 0, 3), (right, 0, 2), phrases=2) == 0.5  # the phrase has a box already
    assert recall((whole, 0, 3), (right, 1, 2), phrases=2) == 0.5  # too large
    assert recall((left, 0, 3), (near_left, 1, 2), phrases=2) == 0.5  # the same place
    assert (
        recall((left, 0, 3), (near_left, 0, 2), (right, 1, 1), phrases=2) == 0.5
    )  # only as many boxes as phrases
