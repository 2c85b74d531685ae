"""The products of many vectors with many others: by BLAS on the processor, or by torch on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sluice.errors import MissingError, UsageError
from sluice.ops.dedup.collect import Rows

DeviceName = Literal["auto", "cpu", "cuda"]
Matrix = NDArray[np.float32]

_DRIVERS = ("/proc/driver/nvidia/version", "/dev/dxg")  # Linux; Windows' Linux


class Products(Protocol):
    """What a device does: all the arithmetic that grows with the square of the vectors."""

    def hold(self, rows: Matrix) -> Any:
        """The rows where this device can multiply them."""

    def near(self, left: Any, right: Any, least: float) -> tuple[Rows, Rows]:
        """The rows of two held matrices whose product is at least `least`, by the left row, then the right."""

    def nearest(
        self, rows: Any, centres: Any, count: int, slack: float = np.inf
    ) -> tuple[NDArray[np.int64], Matrix]:
        """[n, count] the centres with the highest products with each row, highest first, and those products.

        Of equal products the first centre comes first. Those more than `slack` below a row's highest may be
        left out: -1, with a product of -inf.
        """


def products_on(device: DeviceName) -> Products:
    """The products of a device; `auto` takes a GPU where there is one and torch can use it.

    Raises MissingError where `cuda` is asked for and cannot be had.
    """
    if device == "cpu" or (device == "auto" and not any(Path(driver).exists() for driver in _DRIVERS)):
        return BlasProducts()  # and torch, which takes seconds to import, is never asked
    try:
        import torch
    except ImportError:
        if device == "auto":
            return BlasProducts()
        raise MissingError("torch is not installed", fix="pip install 'sluice[models]'") from None
    if torch.cuda.is_available():
        return TorchProducts("cuda")
    if device == "auto":
        return BlasProducts()
    raise MissingError("this machine has no CUDA device that torch can use", fix="device: cpu, or auto")


class BlasProducts:
    """Products by NumPy's BLAS."""

    def hold(self, rows: Matrix) -> Matrix:
        """See `Products`."""
        return rows

    def near(self, left: Matrix, right: Matrix, least: float) -> tuple[Rows, Rows]:
        """See `Products`."""
        hit = np.flatnonzero(left @ right.T >= np.float32(least))
        return hit // len(right), hit % len(right)

    def nearest(
        self, rows: Matrix, centres: Matrix, count: int, slack: float = np.inf
    ) -> tuple[NDArray[np.int64], Matrix]:
        """See `Products`."""
        product = rows @ centres.T
        which = np.full((len(rows), count), -1, np.int64)
        value = np.full((len(rows), count), -np.inf, np.float32)
        left = np.arange(len(rows))
        for place in range(count):  # a few passes of `argmax` are faster than one partition
            line = np.arange(len(left))
            best = product.argmax(axis=1)
            which[left, place], value[left, place] = best, product[line, best]
            product[line, best] = -np.inf
            near = value[left, place] >= value[left, 0] - np.float32(slack)
            if near.sum() < len(near) / 2:  # few rows lie near a border: the others need no further pass
                left, product = left[near], product[near]
        return which, value


class TorchProducts:
    """Products by torch, in full single precision."""

    def __init__(self, device: str) -> None:
        import torch

        if torch.get_float32_matmul_precision() != "highest":  # the bound on rounding would not hold
            raise UsageError(
                "torch is set to multiply single-precision numbers in less than that",
                fix="torch.set_float32_matmul_precision('highest')",
            )
        self._torch, self._device = torch, device

    def hold(self, rows: Matrix) -> Any:
        """See `Products`."""
        return self._torch.tensor(rows, device=self._device)

    def near(self, left: Any, right: Any, least: float) -> tuple[Rows, Rows]:
        """See `Products`."""
        found = self._torch.nonzero(left @ right.T >= float(np.float32(least))).cpu().numpy()
        return found[:, 0], found[:, 1]

    def nearest(
        self, rows: Any, centres: Any, count: int, slack: float = np.inf
    ) -> tuple[NDArray[np.int64], Matrix]:
        """See `Products`."""
        product = rows @ centres.T
        which, value = [], []
        for _ in range(count):  # `topk` says nothing of the order of equal products
            best = product.max(dim=1).values
            ties = (product == best[:, None]).to(self._torch.uint8)
            first = ties.argmax(
                dim=1
            )  # of equal ones the first: documented for this function since torch 1.7
            which.append(first.cpu().numpy())
            value.append(best.cpu().numpy())
            product.scatter_(1, first[:, None], -self._torch.inf)
        return np.stack(which, axis=1), np.stack(value, axis=1)
