"""TransNetV2: where one shot of a video ends and the next begins, told from a hundred small frames at a time."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from sluice.errors import MissingError
from sluice.model.device import torch_module
from sluice.model.pretrained import damaged
from sluice.model.runner import Forward

WIDTH_PX, HEIGHT_PX = 48, 27
WINDOW_FRAMES = 100
STEP_FRAMES = 50
MARGIN_FRAMES = 25
"""Of each window the frames on either side that only lend context: the middle 50 are told of."""

_FILTERS = (16, 32, 64)  # of the three stacks, each at half the size of the one before
_DILATIONS = (1, 2, 4, 8)  # in time, of the four convolutions of a block
_BLOCKS = 2
_LOOKUP_FRAMES = 101  # each frame is compared to itself and the fifty on either side
_SIMILARITY = 128
_HIDDEN = 1024
_BATCH_NORM_EPS = 1e-3

Weights = dict[str, Any]


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors that the network is made of, by the names of the released weights, and their shapes."""
    found: dict[str, tuple[int, ...]] = {}
    for stack, filters in enumerate(_FILTERS):
        channels = 4 * filters
        for block in range(_BLOCKS):
            name, taken = f"SDDCNN.{stack}.DDCNN.{block}", 3 if not stack else channels // 2
            taken = channels if block else taken
            for dilation in _DILATIONS:
                layers = f"{name}.Conv3D_{dilation}.layers"
                found[f"{layers}.0.weight"] = (2 * filters, taken, 1, 3, 3)
                found[f"{layers}.1.weight"] = (filters, 2 * filters, 3, 1, 1)
            for part in ("weight", "bias", "running_mean", "running_var"):
                found[f"{name}.bn.{part}"] = (channels,)
    widths = 4 * sum(_FILTERS)
    seen = 4 * _FILTERS[-1] * (WIDTH_PX // 8) * (HEIGHT_PX // 8) + 2 * _SIMILARITY
    linear = {
        "frame_sim_layer.projection": (_SIMILARITY, widths),
        "frame_sim_layer.fc": (_SIMILARITY, _LOOKUP_FRAMES),
        "color_hist_layer.fc": (_SIMILARITY, _LOOKUP_FRAMES),
        "fc1": (_HIDDEN, seen),
        "cls_layer1": (1, _HIDDEN),
    }
    for name, shape in linear.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found


def transitions(path: str, *, device: str, dtype: Any) -> Forward:
    """`frames` [batch, 100, 27, 48, 3] (RGB, 0 to 255) to the probability, for each of the middle 50 of a window, that
    a shot ends there [batch, 50].

    The network of Souček and Lokoč, "TransNet V2: An effective deep network architecture for fast shot transition
    detection" (2020, arXiv 2008.04838), as its authors released it for PyTorch; of its two answers the one that was
    trained on the middle frame of a transition. Raises MissingError where the file holds other weights.
    """
    weights = _weights(path, device, dtype)

    def forward(inputs: dict[str, Any]) -> Any:
        frames = inputs["frames"]
        seen = _seen(frames, weights, dtype)
        hidden = _linear(seen, weights, "fc1").relu()
        answer = _linear(hidden, weights, "cls_layer1")[:, MARGIN_FRAMES:-MARGIN_FRAMES, 0]
        return answer.float().sigmoid()

    return forward


def _seen(frames: Any, weights: Weights, dtype: Any) -> Any:
    """What is known of each frame [batch, time, 4864]: similarity, colours, and the last stack's features."""
    torch = torch_module()
    x = frames.permute(0, 4, 1, 2, 3).to(dtype) / 255
    means = []
    for stack in range(len(_FILTERS)):
        x = _stack(x, weights, f"SDDCNN.{stack}")
        means.append(x.mean(dim=(3, 4)))
    features = x.permute(0, 2, 3, 4, 1).flatten(2)
    means = torch.cat(means, dim=1).transpose(1, 2)
    projected = _linear(means, weights, "frame_sim_layer.projection")
    similar = _linear(_neighbours(projected), weights, "frame_sim_layer.fc").relu()
    colours = _linear(_neighbours(_histograms(frames).to(dtype)), weights, "color_hist_layer.fc").relu()
    return torch.cat([colours, similar, features], dim=2)


def _stack(x: Any, weights: Weights, name: str) -> Any:
    """Two blocks of dilated convolutions with a shortcut around the second; then half the height and width."""
    torch = torch_module()
    shortcut = _block(x, weights, f"{name}.DDCNN.0").relu()
    x = _block(shortcut, weights, f"{name}.DDCNN.1").relu() + shortcut
    return torch.nn.functional.avg_pool3d(x, (1, 2, 2))


def _block(x: Any, weights: Weights, name: str) -> Any:
    """Four convolutions side by side that see ever further in time, each in space first and then in time."""
    torch = torch_module()
    conv3d = torch.nn.functional.conv3d
    made = []
    for dilation in _DILATIONS:
        layers = f"{name}.Conv3D_{dilation}.layers"
        in_space = conv3d(x, weights[f"{layers}.0.weight"], padding=(0, 1, 1))
        reach = (dilation, 0, 0)
        made.append(conv3d(in_space, weights[f"{layers}.1.weight"], padding=reach, dilation=(dilation, 1, 1)))
    norm = [weights[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return torch.nn.functional.batch_norm(torch.cat(made, dim=1), *norm, eps=_BATCH_NORM_EPS)


def _neighbours(vectors: Any) -> Any:
    """The cosine similarity of each frame to the 50 before, itself and the 50 after [batch, time, 101]; 0 beyond."""
    torch = torch_module()
    vectors = torch.nn.functional.normalize(vectors, dim=2)
    reach = _LOOKUP_FRAMES // 2
    all_pairs = torch.nn.functional.pad(vectors @ vectors.transpose(1, 2), (reach, reach))
    time = torch.arange(vectors.shape[1], device=vectors.device)
    at = time[:, None] + torch.arange(_LOOKUP_FRAMES, device=vectors.device)
    return all_pairs.gather(2, at.expand(len(vectors), -1, -1))


def _histograms(frames: Any) -> Any:
    """How many pixels of each frame have each of 512 colours, 8 levels of red, green and blue [batch, time, 512]."""
    torch = torch_module()
    red, green, blue = (frames.long() >> 5).flatten(2, 3).unbind(dim=3)
    colours = (red << 6) + (green << 3) + blue
    counts = torch.zeros(*colours.shape[:2], 512, device=frames.device)
    return counts.scatter_add_(2, colours, torch.ones_like(colours, dtype=counts.dtype))


def _linear(x: Any, weights: Weights, name: str) -> Any:
    return torch_module().nn.functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


@cache
def _weights(path: str, device: str, dtype: Any) -> Weights:
    try:
        found = _read(path)
    except Exception as error:  # whatever a damaged file makes a library raise is one finding for the user
        raise damaged(path, "TransNetV2", error) from error
    wrong = [name for name, shape in shapes().items() if name not in found or found[name].shape != shape]
    if wrong:
        raise MissingError(
            f"this file does not hold the weights of TransNetV2: {wrong[0]} is absent or of another shape",
            where=path,
            fix="name the file of its released weights for PyTorch",
        )
    return {name: found[name].to(device=device, dtype=dtype) for name in shapes()}


def _read(path: str) -> Weights:
    if Path(path).suffix == ".safetensors":
        from safetensors.torch import load_file

        tensors: Weights = load_file(path)
    else:
        tensors = torch_module().load(path, map_location="cpu", weights_only=True)
    return tensors
