"""What videos look like, to a fixed network that nobody trained: features to compare sets of them by."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

SEED = 20020
CHANNELS = (3, 24, 48)


class VideoEncoder:
    """Two 3 × 3 × 3 convolutions of seeded normal weights, ReLU after each, halving height and width.

    Random networks tell sets of pictures apart where no trained one fits their kind (Naeem and others 2020, arXiv
    2002.09797, embed by one); the weights are drawn from `SEED` and never change, so values are comparable.
    """

    def __init__(self, device: str) -> None:
        drawn = torch.Generator().manual_seed(SEED)
        self.kernels = [
            torch.randn((outside, inside, 3, 3, 3), generator=drawn).to(device) * math.sqrt(2 / (27 * inside))
            for inside, outside in pairwise(CHANNELS)
        ]

    def maps(self, videos: Tensor) -> Tensor:
        """[n, channels, frames, side / 4, side / 4] of videos [n, 3, frames, side, side] from −1 to 1."""
        for kernel in self.kernels:
            videos = F.relu(F.conv3d(videos, kernel, stride=(1, 2, 2), padding=1))
        return videos

    def whole(self, videos: Tensor) -> Tensor:
        """[n, channels]: the mean over place and time of each map."""
        return self.maps(videos).mean((2, 3, 4))

    def coarse(self, videos: Tensor) -> Tensor:
        """[n, channels · 8]: the means over halves of time, height and width: what is where, and when."""
        return F.adaptive_avg_pool3d(self.maps(videos), 2).flatten(1)

    def frames(self, videos: Tensor) -> Tensor:
        """[n, frames, channels]: every frame by itself, as `whole`."""
        n, colours, frames, height, width = videos.shape
        apart = videos.transpose(1, 2).reshape(n * frames, colours, 1, height, width)
        return self.whole(apart).reshape(n, frames, -1)
