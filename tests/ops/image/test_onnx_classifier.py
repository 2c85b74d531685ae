"""A classifier in ONNX: its probabilities by hand, its preprocessing, its labels, and what it refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from onnx_files import FLOAT, UINT8, Graph, mean_classifier
from sluice.errors import Declined, MissingError, PlanError
from sluice.operator import Program, registry
from sluice.ops.image.onnx_classifier import image_onnx_classifier, read_labels
from sluice.sample import Item, Media, Sample

COLOURS = ["red", "green", "blue"]
RAW: dict[str, Any] = {"mean": [0, 0, 0], "std": [1, 1, 1]}


def opened(model: str, **options: Any) -> image_onnx_classifier:
    classifier = image_onnx_classifier(model=model, **{"label": 0, **options})
    classifier.open()
    return classifier


def plain(colour: tuple[int, int, int], height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores)
    return powers / powers.sum()


@pytest.fixture
def model(tmp_path: Path) -> str:
    return mean_classifier(tmp_path / "model.onnx", gain=2.0)


@settings(max_examples=20, deadline=None)
@given(colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_the_probability_of_a_plain_picture_is_that_of_the_formula(
    colour: tuple[int, int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = mean_classifier(tmp_path_factory.mktemp("m") / "model.onnx", gain=2.0)
    seen = (np.array(colour) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    expected = softmax(2 * seen)
    for k, name in enumerate(COLOURS):
        found = opened(model, labels=COLOURS, label=name.upper())(plain(colour))
        assert found.probability == pytest.approx(expected[k], abs=1e-5)
        assert expected[COLOURS.index(found.top_label)] == pytest.approx(expected.max(), abs=1e-5)


def test_without_labels_classes_are_called_by_their_numbers(model: str) -> None:
    assert opened(model, label=2)(plain((0, 0, 255))).top_label == "2"
    assert opened(model, label="2")(plain((0, 0, 255))).probability > 0.9


def test_layouts_and_channel_orders(tmp_path: Path, model: str) -> None:
    last = mean_classifier(tmp_path / "last.onnx", layout="nhwc", gain=2.0)
    red = plain((255, 0, 0))
    assert opened(last)(red).probability == pytest.approx(opened(model)(red).probability, abs=1e-6)
    turned = opened(model, channels="bgr", label=2, **RAW)(red)
    assert turned.probability == pytest.approx(opened(model, **RAW)(red).probability, abs=1e-9)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_activations(activation: str, tmp_path: Path) -> None:
    model = mean_classifier(tmp_path / "m.onnx")
    found = opened(model, activation=activation, **RAW)(plain((255, 51, 0))).probability
    expected = {"softmax": softmax(np.array([1, 0.2, 0]))[0], "sigmoid": 1 / (1 + np.exp(-1)), "none": 1.0}
    assert found == pytest.approx(expected[activation], abs=1e-6)


def test_scores_that_are_no_probabilities_are_not_passed_off_as_some(model: str) -> None:
    with pytest.raises(ValueError, match="set `activation`"):
        opened(model, activation="none", **RAW)(plain((255, 0, 0)))


def test_scores_far_out_stay_probabilities(tmp_path: Path) -> None:
    model = mean_classifier(tmp_path / "m.onnx", gain=1e30)
    for activation in ("softmax", "sigmoid"):
        found = opened(model, activation=activation, **RAW)(plain((255, 0, 0)))
        assert found.probability == 1


def test_what_is_not_finite_is_null_with_a_reason(tmp_path: Path) -> None:
    model = mean_classifier(tmp_path / "m.onnx", gain=float("nan"))
    with pytest.raises(Declined, match="not finite"):
        opened(model)(plain((1, 2, 3)))


def test_a_model_of_integers_is_given_the_pixels(tmp_path: Path) -> None:
    graph = Graph({"x": (UINT8, [1, 4, 4, 3])}, {"y": (FLOAT, [1, 3])})
    graph.node("Cast", "x", "f", to=1).node("ReduceMean", "f", "m", axes=[1, 2], keepdims=0)
    graph.constant("d", [255.0]).node("Div", "m d", "y")
    found = opened(graph.save(tmp_path / "m.onnx"), activation="none", label=1)(plain((0, 51, 0)))
    assert found.probability == pytest.approx(0.2)


def test_crop_sees_the_middle_and_stretch_sees_all(tmp_path: Path) -> None:
    model = mean_classifier(tmp_path / "m.onnx", gain=1.0)
    barred = np.hstack([plain((255, 0, 0), 40, 40), plain((0, 0, 255), 40, 40), plain((255, 0, 0), 40, 40)])
    asked = {"activation": "none", "label": 2, **RAW}
    assert opened(model, resize="crop", **asked)(barred).probability == pytest.approx(1, abs=0.03)
    assert opened(model, resize="stretch", **asked)(barred).probability == pytest.approx(1 / 3, abs=0.02)


def test_the_size_comes_from_the_file_else_from_the_setting(tmp_path: Path) -> None:
    free = mean_classifier(tmp_path / "free.onnx", side="s")
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    fixed = mean_classifier(tmp_path / "fixed.onnx", side=16)
    assert opened(free, size_px=16)(picture) == opened(fixed)(picture) == opened(fixed, size_px=16)(picture)
    assert opened(free)(picture) != opened(free, size_px=16)(picture)
    with pytest.raises(PlanError, match="leave out `size_px`"):
        opened(fixed, size_px=32)


@pytest.mark.parametrize(
    "text",
    [
        "red\ngreen\nblue\n",
        "   0  red\n   1  green\n   2  blue\n",
        "0,red\n1,green\n2,blue",
        '["red", "green", "blue"]',
        json.dumps({"0": "red", "1": "green", "2": "blue"}),
        "\ufeffred\r\ngreen\r\nblue\r\n",
    ],
)
def test_labels_are_read_from_files_as_people_have_them(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(text.encode())
    assert read_labels(str(tmp_path / "labels")) == COLOURS == read_labels(COLOURS)


def test_the_published_imagenet_labels_are_read(data_dir: Path) -> None:
    labels = read_labels(str(data_dir / "models" / "edgetpu__imagenet_labels.txt"))
    assert (len(labels), labels[0], labels[1]) == (1001, "background", "tench, Tinca tinca")


@pytest.mark.parametrize("content", [b'["red", ', b"\xff\xfe\x00", b'{"0": "red", "7": "blue"}'])
def test_a_file_that_holds_no_labels_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(content)
    with pytest.raises(PlanError, match="not a file of labels"):
        read_labels(str(tmp_path / "labels"))
    with pytest.raises(MissingError, match="no file of labels"):
        read_labels(str(tmp_path / "gone"))


def test_labels_that_do_not_fit_are_refused(model: str) -> None:
    with pytest.raises(PlanError, match="2 classes, one a label, not 3"):
        opened(model, labels=["red", "green"])
    with pytest.raises(PlanError, match="did you mean 'green'"):
        opened(model, labels=COLOURS, label="grene")
    for label in (3, -1):
        with pytest.raises(PlanError, match="from 0 to 2"):
            opened(model, labels=COLOURS, label=label)


def test_the_fingerprint_knows_the_labels_by_what_they_say(model: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("red\ngreen\nblue")
    (tmp_path / "b").write_text('["red", "green", "blue"]')

    def contents(labels: Any) -> str:
        return (
            registry()
            .bind("image_onnx_classifier", {"model": model, "label": 0, "labels": labels})
            .contents["labels"]
        )

    assert contents(str(tmp_path / "a")) == contents(str(tmp_path / "b")) == contents(COLOURS)
    assert contents(COLOURS[::-1]) != contents(COLOURS) != contents(None)


def test_odd_pictures_get_a_value(model: str) -> None:
    gray = Image.new("L", (5, 5), 200)
    inks = Image.new("CMYK", (9, 4), (0, 255, 255, 0))
    pictures = [Image.new("RGB", (1, 1)), Image.new("RGB", (1, 10_000)), Image.new("RGB", (10_000, 1)), gray]
    pictures += [inks, Image.new("RGBA", (8, 8), (0, 255, 0, 0))]
    samples = []
    for k, picture in enumerate(pictures):
        out = io.BytesIO()
        picture.save(out, "JPEG" if picture.mode == "CMYK" else "PNG")
        samples.append(Sample(str(k), str(k), (Item("image", media=Media(data=out.getvalue())),)))
    asked = {"model": model, "label": "red", "labels": COLOURS}
    measured = Program([registry().bind("image_onnx_classifier", asked, alias="colour")])(samples)
    assert measured.notes == [[]] * len(samples)
    tops = [labels[0] for labels in measured.columns["colour_top_label"]]
    assert tops[4] == "red"
    assert all(0 <= values[0] <= 1 for values in measured.columns["colour_probability"])
