"""Runs a model over rows in batches of one fixed shape, so that a row's result never depends on its company."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.model.device import device_of, dtype_of, torch_module

Array = NDArray[Any]
Row = Mapping[str, Array]
Forward = Callable[[dict[str, Any]], Any]
"""A loaded model: takes tensors [batch, …] by name, gives one tensor [batch, …]."""

CPU_BATCH, GPU_BATCH = 8, 64


@dataclass(frozen=True)
class Load:
    """What to load: a function by its import path (`sluice.model.clip:image_tower`), files, and options.

    The function is called as `function(path, device=…, dtype=…, **options)` (dtype a torch dtype) and returns a
    `Forward`. Equal loads are one model in memory.
    """

    function: str
    path: str
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self, device: str, dtype: str) -> Forward:
        """The loaded model."""
        module, _, name = self.function.partition(":")
        loader = getattr(importlib.import_module(module), name)
        torch = torch_module()
        forward: Forward = loader(self.path, device=device, dtype=getattr(torch, dtype), **dict(self.options))
        return forward


class Runner:
    """A model on a device.

    `open()` loads it; calling it gives one result a row, as float32. Rows whose arrays have the same shapes are
    run together, in batches of `batch_size` filled up with copies of the last row.
    """

    def __init__(
        self, load: Load, *, device: str = "auto", dtype: str = "auto", batch_size: int | None = None
    ) -> None:
        self.load = load
        self.device = device_of(device)
        self.dtype = dtype_of(dtype, self.device)
        self.batch_size = batch_size or (CPU_BATCH if self.device == "cpu" else GPU_BATCH)
        self._forward: Forward | None = None

    def open(self) -> Runner:
        """Load the model, once."""
        if self._forward is None:
            self._forward = self.load(self.device, self.dtype)
        return self

    def __call__(self, rows: Sequence[Row]) -> list[Array]:
        """One array a row, in order."""
        results: list[Array | None] = [None] * len(rows)
        by_shape: dict[tuple[Any, ...], list[int]] = {}
        for k, row in enumerate(rows):
            shape = tuple((name, row[name].shape) for name in sorted(row))
            by_shape.setdefault(shape, []).append(k)
        for members in by_shape.values():
            for start in range(0, len(members), self.batch_size):
                part = members[start : start + self.batch_size]
                for k, result in zip(part, self._run([rows[k] for k in part]), strict=True):
                    results[k] = result
        return [r for r in results if r is not None]

    def _run(self, rows: Sequence[Row]) -> list[Array]:
        torch = torch_module()
        self.open()
        assert self._forward is not None
        filled = [*rows, *[rows[-1]] * (self.batch_size - len(rows))]
        inputs = {name: torch.from_numpy(np.stack([row[name] for row in filled])) for name in rows[0]}
        with torch.inference_mode():
            moved = {name: tensor.to(self.device) for name, tensor in inputs.items()}
            result = self._forward(moved).to(device="cpu", dtype=torch.float32).numpy()
        return [np.ascontiguousarray(row) for row in result[: len(rows)]]
