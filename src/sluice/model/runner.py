"""Runs a model over rows in batches of one fixed shape, so that a row's result never depends on its company."""

from __future__ import annotations

import faulthandler
import importlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sluice.model.client import Ask, Rows, server_for
from sluice.model.device import device_of, dtype_of, torch_module

Array = NDArray[Any]
Row = Mapping[str, Array]
Forward = Callable[[dict[str, Any]], Any]
"""A loaded model: takes tensors [batch, …] by name, gives one tensor [batch, …]."""

BatchSize = Annotated[int, Field(ge=1)] | Literal["auto"] | None
"""How many rows go through a model together: a number, `auto` (measured on a GPU), or None for our choice."""

CPU_BATCH, GPU_BATCH = 8, 32
"""Eight fill the caches of a core, more gain nothing there. 32 pictures fill a GPU with the tokens of a ViT-L/14,
and less of a batch is filling than with more, where rules leave a few rows of each micro-batch."""

_LARGEST_BATCH = 1024
_WORTH = 1.05
"""A batch twice as large must be this much faster to be taken by `auto`."""

NOTES: Counter[str] = Counter()
"""What happened in this process that is worth telling of a run (a batch halved); emptied by `notes_taken`."""

batch_limit_s: float | None = None
"""How long a batch may be on the device before this process is ended: set in model processes, which start again."""

tells = threading.local()
"""`tells.tell`: of a thread of a model process, how the worker learns that its request is the one on the device."""

_notes = threading.Lock()
_device = threading.Lock()
"""Held while rows are on the device: the other threads of a model process make their batches meanwhile."""


def note(text: str, times: int = 1) -> None:
    """Note something that is worth telling of a run."""
    with _notes:
        NOTES[text] += times


def notes_taken() -> dict[str, int]:
    """The notes since the last call, counted."""
    with _notes:
        found = dict(NOTES)
        NOTES.clear()
    return found


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
    run together, in batches of `batch_size` filled up with copies of the last row. A batch that does not fit
    into memory is halved, for good, and that is noted. `compile` lets torch.compile translate the model. Where
    a model process serves the device, the model is loaded there and not here.
    """

    def __init__(
        self,
        load: Load,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: BatchSize = None,
        compile: bool = False,
    ) -> None:
        self.load = load
        self._server = server_for(device)
        self.device = self._server.device if self._server else device_of(device)
        self.dtype = dtype_of(dtype, self.device)
        self.batch_size = batch_size if isinstance(batch_size, int) else _default(self.device)
        self._measures = batch_size == "auto" and self.device != "cpu"
        self.ask = Ask(load, self.dtype, batch_size, compile)
        self._compile = compile
        self._forward: Forward | None = None

    def open(self) -> Runner:
        """Load the model, once."""
        if self._server is not None:
            self._server.open(self.ask)
        elif self._forward is None:
            self._forward = self.load(self.device, self.dtype)
            if self._compile:
                self._forward = torch_module().compile(self._forward, dynamic=False)
        return self

    def __call__(self, rows: Sequence[Row]) -> list[Array]:
        """One array a row, in order."""
        if self._server is not None:
            found, notes = self._server.run(self.ask, rows)
            for text, times in notes.items():
                note(text, times)
            return found
        results: list[Array | None] = [None] * len(rows)
        for members in _alike(rows):
            for k, result in zip(members, self._run_alike([rows[k] for k in members]), strict=True):
                results[k] = result
        return [r for r in results if r is not None]

    def _run_alike(self, rows: Rows) -> Iterator[Array]:
        self.open()
        if self._measures:
            self._measure(rows[0])
        start = 0
        while start < len(rows):
            part = rows[start : start + self.batch_size]
            try:
                found = self._run(part, self.batch_size)
            except Exception as error:
                if self.batch_size == 1 or not _is_out_of_memory(error):
                    raise
                self._halve()
                continue
            start += len(part)
            yield from found

    def _run(self, rows: Rows, size: int) -> list[Array]:
        """Results of at most `size` rows, run as exactly `size`."""
        torch = torch_module()
        assert self._forward is not None
        inputs = _stacked(rows, size, pinned=self.device != "cpu")
        with _turn(), torch.inference_mode(), _one_thread(self.device):
            moved = {name: tensor.to(self.device, non_blocking=True) for name, tensor in inputs.items()}
            result = self._forward(moved).to(device="cpu", dtype=torch.float32).numpy()
        return [np.ascontiguousarray(row) for row in result[: len(rows)]]

    def _halve(self) -> None:
        before, self.batch_size = self.batch_size, self.batch_size // 2
        name = self.load.function.rpartition(":")[2]
        note(f"{name}: out of memory, batches of {before} halved to {self.batch_size}")
        if self.device != "cpu":
            torch_module().cuda.empty_cache()

    def _measure(self, row: Row) -> None:
        """Find the batch size of this device by trying it."""
        self._measures = False

        def rows_per_s(size: int) -> float | None:
            try:
                self._run([row] * size, size)  # the first time pays for kernels that are chosen then
                started = perf_counter()
                self._run([row] * size, size)
            except Exception as error:
                if not _is_out_of_memory(error):
                    raise
                torch_module().cuda.empty_cache()
                return None
            return size / (perf_counter() - started)

        self.batch_size = best_batch(rows_per_s, self.batch_size)
        name = self.load.function.rpartition(":")[2]
        note(f"{name}: batches of {self.batch_size}, measured")


@contextmanager
def _turn() -> Iterator[None]:
    with _device:
        if batch_limit_s is not None:
            faulthandler.dump_traceback_later(batch_limit_s, exit=True)
        try:
            with under_way():
                yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def under_way() -> Iterator[None]:
    """Tell whom this thread works for (`tells.tell`, if set) that its work is what runs now, and that it ended."""
    tell: Callable[[bool], None] | None = getattr(tells, "tell", None)
    if tell is None:
        yield
        return
    tell(True)
    yield
    tell(False)  # not where it raised: whoever asked is told of that otherwise


def best_batch(rows_per_s: Callable[[int], float | None], smallest: int) -> int:
    """The batch, doubled from the smallest on, of which the next is hardly faster or does not fit (None)."""
    best, rate = smallest, rows_per_s(smallest)
    while rate is not None and best < _LARGEST_BATCH:
        larger = rows_per_s(best * 2)
        if larger is None or larger < rate * _WORTH:
            return best
        best, rate = best * 2, larger
    return best


def _default(device: str) -> int:
    return CPU_BATCH if device == "cpu" else GPU_BATCH


def _alike(rows: Sequence[Row]) -> list[list[int]]:
    """Indices of the rows whose arrays have the same shapes, in the order of their first."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for k, row in enumerate(rows):
        shape = tuple((name, row[name].shape) for name in sorted(row))
        found.setdefault(shape, []).append(k)
    return list(found.values())


def _stacked(rows: Rows, size: int, *, pinned: bool) -> dict[str, Any]:
    """Tensors [size, …] by name: the rows, and copies of the last to fill up; in memory that a GPU can read."""
    torch = torch_module()
    filled = [*rows, *[rows[-1]] * (size - len(rows))]
    tensors = {}
    for name, first in rows[0].items():
        kind = torch.from_numpy(np.empty(0, first.dtype)).dtype
        tensors[name] = torch.empty((size, *first.shape), dtype=kind, pin_memory=pinned)
        np.stack([row[name] for row in filled], out=tensors[name].numpy())
    return tensors


@contextmanager
def _one_thread(device: str) -> Iterator[None]:
    """One thread for torch on a CPU: sums that are split over threads differ in their last bits."""
    torch = torch_module()
    before = torch.get_num_threads() if device == "cpu" else 1
    if before > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if before > 1:
            torch.set_num_threads(before)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether a batch did not fit: torch tells it of a GPU by a type of its own, of a CPU by a text."""
    return isinstance(error, MemoryError | torch_module().OutOfMemoryError) or "DefaultCPUAllocator" in str(
        error
    )
