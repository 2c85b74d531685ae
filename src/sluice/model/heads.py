"""Small networks over an embedding, as their authors published the weights: aesthetics, NSFW."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sluice.errors import MissingError, SampleError
from sluice.model.device import torch_module
from sluice.model.files import find

Array = NDArray[np.float64]

_AESTHETIC_LAYERS = ("layers.0", "layers.2", "layers.4", "layers.6", "layers.7")
_NSFW_LAYERS = ("linear_1", "linear_2", "linear_3", "linear_4")


@dataclass(frozen=True)
class Head:
    """(x − mean) / deviation, then linear layers (weight [out, in], bias [out]), ReLU between if `relu`.

    In double precision: what it gives depends on no library's order of summation.
    """

    layers: tuple[tuple[Array, Array], ...]
    relu: bool = False
    mean: Array | float = 0.0
    deviation: Array | float = 1.0

    @property
    def size(self) -> int:
        """How many numbers the embedding must have."""
        return int(self.layers[0][0].shape[1])

    def __call__(self, embedding: NDArray[np.float32]) -> float:
        """The head's one number for an embedding [size]."""
        if len(embedding) != self.size:
            raise SampleError(
                "embedding of another size",
                f"the head takes {self.size} numbers, the embedding has {len(embedding)}",
                fix="name the head that was trained on this model",
            )
        x = (embedding.astype(np.float64) - self.mean) / self.deviation
        for k, (weight, bias) in enumerate(self.layers):
            x = weight @ (np.maximum(x, 0.0) if self.relu and k else x) + bias
        return float(x[0])


def aesthetics(name: str) -> Head:
    """LAION's head of this name or path: the MLP (five linear layers in a row) or the linear one."""
    path, tensors = _read(name)
    if "weight" in tensors:
        return Head(_layers(path, tensors, ("",)))
    return Head(_layers(path, tensors, _AESTHETIC_LAYERS))


def nsfw(name: str) -> Head:
    """LAION's CLIP-based NSFW head of this name or path; its number goes through `sigmoid`.

    The names are those of the PyTorch conversion: `norm.mean`, `norm.variance`, `linear_1` to `linear_4`.
    """
    path, tensors = _read(name)
    _require(path, tensors, ("norm.mean", "norm.variance"))
    layers = _layers(path, tensors, _NSFW_LAYERS)
    deviation = np.sqrt(tensors["norm.variance"].reshape(-1))
    return Head(layers, relu=True, mean=tensors["norm.mean"].reshape(-1), deviation=deviation)


def sigmoid(x: float) -> float:
    """1 / (1 + e^−x), without overflow."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def _layers(
    path: Path, tensors: Mapping[str, Array], names: Sequence[str]
) -> tuple[tuple[Array, Array], ...]:
    keys = [tuple(f"{name}.{part}".lstrip(".") for part in ("weight", "bias")) for name in names]
    _require(path, tensors, [key for pair in keys for key in pair])
    layers = tuple((tensors[weight], tensors[bias].reshape(-1)) for weight, bias in keys)
    sizes = [layers[0][0].shape[-1]]
    for weight, bias in layers:
        if weight.shape != (len(bias), sizes[-1]):
            raise _unfit(path, f"a layer of shape {weight.shape} follows one of {sizes[-1]} numbers")
        sizes.append(len(bias))
    if sizes[-1] != 1:
        raise _unfit(path, f"it gives {sizes[-1]} numbers instead of one")
    return layers


def _require(path: Path, tensors: Mapping[str, Array], names: Sequence[str]) -> None:
    absent = [name for name in names if name not in tensors]
    if absent:
        raise _unfit(path, f"it has no tensor {absent[0]!r}, but {', '.join(sorted(tensors)) or 'nothing'}")


def _unfit(path: Path, what: str) -> MissingError:
    return MissingError(
        f"this is not the head that was asked for: {what}", where=str(path), fix="fetch it again"
    )


def _read(name: str) -> tuple[Path, dict[str, Array]]:
    """The tensors of a file of weights, in double precision; nothing in it is ever executed."""
    path = find(name)
    try:
        tensors = _tensors(path)
    except MissingError:
        raise
    except Exception as error:  # whatever a damaged file makes a library raise is one finding for the user
        first = str(error).partition("\n")[0]
        raise _unfit(path, f"it cannot be read: {first}") from error
    return path, {key: np.asarray(value, dtype=np.float64) for key, value in tensors.items()}


def _tensors(path: Path) -> Mapping[str, NDArray[np.generic]]:
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        found: Mapping[str, NDArray[np.generic]] = load_file(path)
        return found
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    if path.suffix in (".pth", ".pt", ".bin"):
        state = torch_module().load(path, map_location="cpu", weights_only=True)
        return {key: tensor.float().numpy() for key, tensor in state.items()}
    raise MissingError(
        f"heads are read from .safetensors, .npz and .pth files, not from {path.name!r}",
        where=str(path),
        fix="name the file of the weights",
    )
