"""Runs models in the ONNX format: what they take is read from the file, and one thread computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sluice.errors import MissingError, PlanError
from sluice.model.files import find
from sluice.operator.extra import imported
from sluice.operator.spec import Contents

Array = NDArray[Any]
Layout = Literal["nchw", "nhwc"]
"""Where an image input has its channels: before height and width, or after."""

_CHANNEL_AXIS: dict[Layout, int] = {"nchw": 1, "nhwc": 3}
_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ONLY_FATAL = 4


def onnxruntime_module() -> Any:
    """The onnxruntime module, imported now; MissingError with the command that installs it."""
    return imported("onnxruntime", "models")


def device_class(name: str) -> str:
    """What of the device belongs to a value's fingerprint; MissingError where onnxruntime cannot use it."""
    if name != "cpu" and _PROVIDERS[name] not in onnxruntime_module().get_available_providers():
        raise MissingError(
            "this onnxruntime has no CUDA provider",
            fix="device: cpu, or pip uninstall onnxruntime && pip install onnxruntime-gpu",
        )
    return name


OnnxDevice = Annotated[Literal["cpu", "cuda"], Contents(device_class)]
"""A setting that says where an ONNX model runs."""


@dataclass(frozen=True)
class Tensor:
    """An input or output as the file declares it: sides that may vary are None; `kind` is ONNX's type."""

    name: str
    shape: tuple[int | None, ...]
    kind: str

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} {self.kind} [{sides}]"


@dataclass(frozen=True)
class ImageInput:
    """An input for one picture: its layout, its element type, and its size where the file fixes one."""

    layout: Layout
    dtype: type[np.generic]
    height_px: int | None
    width_px: int | None

    def batch(self, pixels: Array) -> Array:
        """A picture [H, W, 3] as a batch of one."""
        turned = pixels.transpose(2, 0, 1) if self.layout == "nchw" else pixels
        return np.ascontiguousarray(turned[None], dtype=self.dtype)


class OnnxModel:
    """A loaded model with one input.

    `model` is a path or a name that `model.files.find` knows: an ONNX file that holds its weights itself, or a
    folder with one ONNX file and the files of weights that it names. Raises MissingError where it is not on this
    machine or cannot be loaded. One thread computes on a CPU, so that results are the same however many workers
    and cores there are.
    """

    def __init__(self, model: str, *, device: str = "cpu") -> None:
        runtime = onnxruntime_module()
        device_class(device)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ONLY_FATAL  # all else is raised as well
        self.path = find(model)
        # As bytes a file cannot lead to others beside it, of whose weights the model's digest knows nothing.
        source = str(_only_onnx_file(self.path)) if self.path.is_dir() else self.path.read_bytes()
        try:
            self._session = runtime.InferenceSession(source, options, providers=[_PROVIDERS[device]])
        except Exception as error:  # onnxruntime's errors share no base
            raise MissingError(
                f"not a whole ONNX model: {str(error).splitlines()[0]:.200}",
                where=str(self.path),
                fix="fetch or export the file again; one with weights in other files is given as its folder",
            ) from error
        self.inputs = tuple(_tensor(each) for each in self._session.get_inputs())
        self.outputs = tuple(_tensor(each) for each in self._session.get_outputs())

    def __call__(self, values: Array) -> list[Array]:
        """All outputs, in the file's order, for a value of the only input."""
        outputs: list[Array] = self._session.run(None, {self.inputs[0].name: values})
        return outputs

    def image_input(self, layout: Layout | None = None) -> ImageInput:
        """What the only input takes; the layout is told by the axis of three channels where none is given.

        Raises PlanError for a model that does not take one picture of three channels.
        """
        accepted = [i for i in self.inputs if len(i.shape) == 4 and i.kind in _DTYPES]
        if not len(accepted) == len(self.inputs) == 1:
            raise self.unlike("one input [batch, 3, height, width] or [batch, height, width, 3]")
        given = accepted[0]
        layouts = [layout] if layout else list(_CHANNEL_AXIS)
        sure = [each for each in layouts if given.shape[_CHANNEL_AXIS[each]] == 3]
        possible = sure or [each for each in layouts if given.shape[_CHANNEL_AXIS[each]] is None]
        if not possible:
            raise self.unlike(f"an input of three channels in the layout {' or '.join(layouts)}")
        if len(possible) == 2:
            raise self.unlike("an input whose layout can be told", fix="set `layout` to nchw or nhwc")
        height, width = given.shape[2:] if possible[0] == "nchw" else given.shape[1:3]
        return ImageInput(possible[0], _DTYPES[given.kind], height, width)

    def unlike(
        self, expected: str, fix: str = "give a model of the kind that the operator describes"
    ) -> PlanError:
        """An error that says what was expected of the model and what it has."""
        has = "; ".join(
            [*(f"input {each}" for each in self.inputs), *(f"output {each}" for each in self.outputs)]
        )
        return PlanError(f"the model should have {expected}, but has {has}", where=str(self.path), fix=fix)


def _only_onnx_file(folder: Path) -> Path:
    files = sorted(folder.glob("*.onnx"))
    if len(files) != 1:
        raise MissingError(
            f"the folder holds {len(files)} ONNX files, not one",
            where=str(folder),
            fix="give the path of one",
        )
    return files[0]


def _tensor(declared: Any) -> Tensor:
    sides = tuple(side if isinstance(side, int) else None for side in declared.shape)
    return Tensor(declared.name, sides, declared.type)
