"""ONNX models: what they take is read from the file, and a file that is none says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from onnx_files import FLOAT, FLOAT16, UINT8, Graph, Shape, bright_faces, mean_classifier
from sluice.errors import MissingError, PlanError
from sluice.model.files import find
from sluice.model.onnx import OnnxModel, device_class


def passed_through(path: Path, kind: int, shape: Shape) -> OnnxModel:
    graph = Graph({"x": (kind, shape)}, {"y": (kind, shape)}).node("Identity", "x", "y")
    return OnnxModel(graph.save(path))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("n", 3, 8, 6), ("nchw", 8, 6)),
        ((1, 8, 6, 3), ("nhwc", 8, 6)),
        (("n", 3, "h", "w"), ("nchw", None, None)),
        (("n", 3, 3, "w"), ("nchw", 3, None)),
    ],
)
def test_the_layout_and_size_are_read_from_the_file(
    shape: Shape, expected: tuple[str, int | None, int | None], tmp_path: Path
) -> None:
    found = passed_through(tmp_path / "m.onnx", FLOAT, shape).image_input()
    assert (found.layout, found.height_px, found.width_px) == expected


@pytest.mark.parametrize(("kind", "dtype"), [(FLOAT, "f4"), (FLOAT16, "f2"), (UINT8, "u1")])
def test_a_picture_becomes_a_batch_of_the_type_that_the_model_takes(
    kind: int, dtype: str, tmp_path: Path
) -> None:
    model = passed_through(tmp_path / "m.onnx", kind, ("n", 3, "h", "w"))
    pixels = np.arange(24).reshape(2, 4, 3)
    (given,) = model(model.image_input().batch(pixels))
    assert given.dtype == np.dtype(dtype)
    assert np.array_equal(given[0].transpose(1, 2, 0), pixels)


@pytest.mark.parametrize("shape", [("n", "c", "h", "w"), ("n", 3, 4, 3)])
def test_a_layout_that_the_file_does_not_tell_is_asked_for(shape: Shape, tmp_path: Path) -> None:
    model = passed_through(tmp_path / "m.onnx", FLOAT, shape)
    with pytest.raises(PlanError, match="set `layout` to nchw or nhwc"):
        model.image_input()
    assert model.image_input("nchw").layout == "nchw"
    assert model.image_input("nhwc").layout == "nhwc"


@pytest.mark.parametrize("shape", [("n", 3), ("n", 1, 8, 8), ("n", 3, 8, 8, 2)])
def test_a_model_that_takes_no_picture_is_refused_with_what_it_takes(shape: Shape, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"input x tensor\(float\) \[\?, ") as caught:
        passed_through(tmp_path / "m.onnx", FLOAT, shape).image_input()
    assert caught.value.exit_code == 2
    assert str(tmp_path) in str(caught.value)


def test_a_model_of_two_inputs_is_refused(tmp_path: Path) -> None:
    shape = (1, 3, 2, 2)
    graph = Graph({"a": (FLOAT, shape), "b": (FLOAT, shape)}, {"y": (FLOAT, shape)}).node("Add", "a b", "y")
    with pytest.raises(PlanError, match="one input"):
        OnnxModel(graph.save(tmp_path / "m.onnx")).image_input()


@pytest.mark.parametrize("content", [b"", b"words, not a model", b"\x08\x08" * 100])
def test_a_file_that_is_no_model_is_missing_not_a_crash(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(MissingError, match="not a whole ONNX model") as caught:
        OnnxModel(str(tmp_path / "m.onnx"))
    assert caught.value.exit_code == 3
    assert "m.onnx" in str(caught.value)


def test_half_a_model_is_missing(tmp_path: Path) -> None:
    whole = Path(bright_faces(tmp_path / "whole.onnx")).read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MissingError):
        OnnxModel(str(tmp_path / "half.onnx"))


def test_a_folder_stands_for_the_one_model_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("of no concern")
    with pytest.raises(MissingError, match="holds 0 ONNX files"):
        OnnxModel(str(tmp_path))
    mean_classifier(tmp_path / "a.onnx")
    assert OnnxModel(str(tmp_path)).inputs == OnnxModel(str(tmp_path / "a.onnx")).inputs
    mean_classifier(tmp_path / "b.onnx")
    with pytest.raises(MissingError, match="holds 2 ONNX files"):
        OnnxModel(str(tmp_path))


def test_a_known_model_that_is_not_here_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_MODELS", str(tmp_path))
    with pytest.raises(MissingError, match="sluice models fetch ultraface-rfb-320") as caught:
        OnnxModel("ultraface-rfb-320")
    assert str(tmp_path) in str(caught.value)


def test_models_that_a_package_carries_are_found_without_a_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_MODELS", str(tmp_path))
    assert find("PP-OCRv6_det_small").parts[-3:-1] == ("rapidocr", "models")
    nearer = tmp_path / "PP-OCRv6_det_small" / "PP-OCRv6_det_small.onnx"
    nearer.parent.mkdir()
    nearer.write_bytes(b"one's own comes first")
    assert find("PP-OCRv6_det_small") == nearer.resolve()


def test_a_device_that_onnxruntime_cannot_use_is_missing() -> None:
    assert device_class("cpu") == "cpu"
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        assert device_class("cuda") == "cuda"
        return
    with pytest.raises(MissingError, match="onnxruntime-gpu"):
        device_class("cuda")
