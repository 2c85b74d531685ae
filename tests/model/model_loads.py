"""Models for the tests of the runner and its process: a matrix, and ones that fail in every way."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import torch

from sluice.errors import MissingError
from sluice.model.runner import Forward

LOADED: list[str] = []


def matrix(path: str, *, device: str, dtype: Any, columns: int = 3) -> Forward:
    """`x` [batch, …] times a fixed matrix, plus a thousandth of the batch's size."""
    LOADED.append(path)

    def forward(inputs: dict[str, Any]) -> Any:
        x = inputs["x"].to(dtype).reshape(len(inputs["x"]), -1)
        weights = torch.arange(x.shape[1] * columns, dtype=dtype, device=device).reshape(-1, columns)
        return torch.sin(x @ weights / 7) + len(x) / 1000

    return forward


def narrow(path: str, *, device: str, dtype: Any, fits: int = 4) -> Forward:
    """The same, on a device whose memory holds `fits` rows."""
    run = matrix(path, device=device, dtype=dtype)

    def forward(inputs: dict[str, Any]) -> Any:
        if len(inputs["x"]) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return run(inputs)

    return forward


def mortal(path: str, *, device: str, dtype: Any) -> Forward:
    """The same, but a row that begins with 13 kills the process, 14 raises, 15 loses the device, 16 never ends.

    `path` is a file in which every death leaves a byte.
    """
    run = matrix(path, device=device, dtype=dtype)

    def forward(inputs: dict[str, Any]) -> Any:
        first = set(inputs["x"].reshape(len(inputs["x"]), -1)[:, 0].tolist())
        if 13.0 in first:
            with open(path, "ab") as deaths:  # noqa: PTH123
                deaths.write(b".")
            os.kill(os.getpid(), signal.SIGKILL)
        if 14.0 in first:
            raise ValueError("not this one")
        if 15.0 in first:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if 16.0 in first:
            time.sleep(1000)
        return run(inputs)

    return forward


def absent(path: str, *, device: str, dtype: Any) -> Forward:
    """A model that is not there."""
    raise MissingError("the model is not on this machine", where=path, fix="`sluice models fetch it`")
