"""On what a model runs, and in which precision: asked for by a recipe, found out on the machine."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from sluice.errors import MissingError
from sluice.operator.extra import imported
from sluice.operator.spec import Contents

DeviceName = Literal["auto", "cpu", "cuda"]
DtypeName = Literal["auto", "float32", "bfloat16", "float16"]


def torch_module() -> Any:
    """The torch module, imported now; MissingError with the command that installs it."""
    return imported("torch", "models")


@cache
def device_of(name: str) -> str:
    """`cpu` or `cuda` for what a recipe asks for; `auto` takes a GPU where there is one."""
    has_gpu = bool(torch_module().cuda.is_available())
    if name == "cuda" and not has_gpu:
        raise MissingError("this machine has no CUDA device that torch can use", fix="device: cpu, or auto")
    return "cuda" if has_gpu and name in ("auto", "cuda") else "cpu"


@cache
def device_class(name: str) -> str:
    """What of the device belongs to a score's fingerprint: `cpu`, or `cuda` with the GPU's name."""
    device = device_of(name)
    return device if device == "cpu" else f"cuda {torch_module().cuda.get_device_name()}"


def dtype_of(name: str, device: str) -> str:
    """The precision asked for; `auto` is single precision on a CPU, bfloat16 on a GPU."""
    if name != "auto":
        return name
    return "float32" if device == "cpu" else "bfloat16"


Device = Annotated[DeviceName, Contents(device_class)]
"""A setting that says where a model runs."""
