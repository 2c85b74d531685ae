"""What the small models have in common: how one is trained on captioned samples, kept, and read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sluice.sandbox.proxy.captioned import Captioned, Form
from sluice.sandbox.proxy.fit import fit, repeatable
from sluice.sandbox.proxy.presets import Preset
from sluice.sandbox.proxy.saved import load_weights, save, shape_of
from sluice.sandbox.train.protocol import Trained

Model = TypeVar("Model", bound=nn.Module)
Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Kind(Generic[Model, Shape]):
    """A kind of small model: its name on disk, its network, the sizes that it is made with, and what it learns by.

    `loss` takes the model, uint8 pixels [n, frames, side, side, 3], word numbers [n, length], and what is random.
    """

    name: str
    network: Callable[[Shape], Model]
    shape: Callable[..., Shape]
    loss: Callable[[Model, Tensor, Tensor, torch.Generator], Tensor]

    def train(
        self,
        data: Captioned,
        preset: Preset[Shape],
        output: Path,
        *,
        seed: int,
        log: Path,
        device: str = "cpu",
        threads: int = 1,
    ) -> Trained:
        """Train one from its seeded first weights, and keep it in `output`; fails as `fit` does."""
        sizes: dict[str, Any] = asdict(preset)
        with repeatable(seed, threads, device):
            model = self.network(preset.shape).to(device)
            pixels, words = torch.from_numpy(data.pixels), torch.from_numpy(data.words)

            def loss(chosen: NDArray[np.int64], noise: torch.Generator) -> Tensor:
                at = torch.from_numpy(chosen)
                return self.loss(model, pixels[at].to(device), words[at].to(device), noise)

            about = {"preset": sizes, "ids": data.ids}
            trained = fit(model, loss, len(data), preset.plan, output, seed=seed, log=log, about=about)
            save(model, self.name, sizes["shape"], output, data.lexicon)
        return trained

    def load(self, folder: Path, device: str) -> tuple[Model, Form]:
        """A trained model with the form of what it is shown or makes; `TrialError` where none lies there."""
        shape = shape_of(folder, self.name)
        form = Form(**shape.pop("form"))
        model = self.network(self.shape(form=form, **shape))
        load_weights(model, folder, device)
        return model, form
