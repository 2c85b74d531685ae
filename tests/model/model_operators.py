"""An operator whose model runs where a runner puts it, and dies of some pictures."""

from typing import Annotated

import numpy as np

from sluice.model.device import Device, DtypeName
from sluice.model.runner import Load, Runner
from sluice.operator import Field, Registry, measure, registry


@measure(version=1, cost="model", scope="image")
class image_mortal_score:  # noqa: N801 - an operator's name is its class's
    """A matrix times the width and height; a picture 13 pixels wide kills the process that runs it."""

    def __init__(self, *, deaths: str = "", device: Device = "auto", dtype: DtypeName = "auto") -> None:
        self._load = Load("model_loads:mortal", deaths)
        self._runs_on = {"device": device, "dtype": dtype}

    def open(self) -> None:
        self._runner = Runner(self._load, **self._runs_on).open()  # type: ignore[arg-type]

    def __call__(
        self, image_width_px: list[int], image_height_px: list[int]
    ) -> list[Annotated[float, Field(unit="score")]]:
        sizes = zip(image_width_px, image_height_px, strict=True)
        return [float(r[0]) for r in self._runner([{"x": np.array(s, np.float32)} for s in sizes])]


def operators() -> Registry:
    """All operators, and this one."""
    known = registry()
    return Registry([*known, *known.features(), image_mortal_score.spec])  # type: ignore[attr-defined]
