"""A small diffusion transformer that makes videos of captions, in pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sluice.sandbox.proxy.attention import Attention, Layer, mlp
from sluice.sandbox.proxy.captioned import Form
from sluice.sandbox.proxy.kind import Kind
from sluice.sandbox.proxy.presets import VideoShape
from sluice.sandbox.proxy.words import END, PAD, START

UNTOLD = 0.1
"""How often a caption is left out in training, so that guidance knows what a video is without one (Ho and Salimans)."""


class TextToVideo(nn.Module):
    """A DiT (Peebles and Xie 2023, arXiv 2212.09748) over patches of a few frames, told the caption and the noise.

    The noise follows the straight paths of flow matching (Lipman and others 2023, arXiv 2210.02747): at level t, from
    0 to 1, a video is (1 − t) · video + t · normal noise. The network says what the video was.
    """

    def __init__(self, shape: VideoShape) -> None:
        super().__init__()
        form, width = shape.form, shape.width
        self.patch = (shape.patch_frames, shape.patch_px, shape.patch_px)
        self.grid = (form.frames // shape.patch_frames, *(2 * [form.side_px // shape.patch_px]))
        values = 3 * math.prod(self.patch)
        self.words = nn.Embedding(form.vocabulary, width)
        self.word_places = nn.Parameter(0.02 * torch.randn(form.length, width))
        self.reader = Layer(width, shape.heads)
        self.level = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.inside, self.places = (
            nn.Linear(values, width),
            nn.Parameter(0.02 * torch.randn(math.prod(self.grid), width)),
        )
        self.layers = nn.ModuleList(_Told(width, shape.heads) for _ in range(shape.layers))
        self.norm, self.outside = nn.LayerNorm(width), nn.Linear(width, values)
        nn.init.zeros_(self.outside.weight)

    def caption(self, words: Tensor) -> Tensor:
        """What is said, as one vector [n, width], of word numbers [n, length]."""
        there = words != PAD
        x = self.reader(self.words(words) + self.word_places[: words.shape[1]], mask=there)
        weights = there.unsqueeze(-1).to(x.dtype)
        pooled: Tensor = (x * weights).sum(1) / weights.sum(1)
        return pooled

    def forward(self, noisy: Tensor, level: Tensor, words: Tensor) -> Tensor:
        """The videos behind noisy ones [n, 3, frames, side, side] of levels [n], under captions [n, length]."""
        told = self.caption(words) + self.level(_waves(level, self.words.embedding_dim))
        x = self.inside(self._patches(noisy)) + self.places
        for layer in self.layers:
            x = layer(x, told)
        return self._whole(self.outside(self.norm(x)))

    def loss(self, videos: Tensor, words: Tensor, noise: torch.Generator) -> Tensor:
        """The mean squared error of what the videos are said to be, at one random level each; some without caption."""
        level = torch.rand(len(videos), generator=noise, device=videos.device)
        untold = torch.rand(len(videos), generator=noise, device=videos.device) < UNTOLD
        words = torch.where(untold[:, None], silence(words), words)
        found = self.errors(videos, words, level, noise)
        return found.mean()

    def errors(self, videos: Tensor, words: Tensor, level: Tensor, noise: torch.Generator) -> Tensor:
        """The mean squared error [n] of each video at a level of noise [n]."""
        noisy = _mixed(videos, torch.randn(videos.shape, generator=noise, device=videos.device), level)
        off: Tensor = self(noisy, level, words) - videos
        return off.square().flatten(1).mean(1)

    def _patches(self, videos: Tensor) -> Tensor:
        (t, y, x), (pt, py, px) = self.grid, self.patch
        cut = videos.reshape(-1, 3, t, pt, y, py, x, px).permute(0, 2, 4, 6, 1, 3, 5, 7)
        return cut.reshape(len(videos), t * y * x, -1)

    def _whole(self, patches: Tensor) -> Tensor:
        (t, y, x), (pt, py, px) = self.grid, self.patch
        laid = patches.reshape(-1, t, y, x, 3, pt, py, px).permute(0, 4, 1, 5, 2, 6, 3, 7)
        return laid.reshape(len(patches), 3, t * pt, y * py, x * px)


class _Told(nn.Module):
    """A transformer layer whose norms are scaled and shifted, and whose sums are gated, by what it is told.

    The gates begin at zero ("adaLN-Zero"), so that every layer begins as nothing.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.norm_mlp = (nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.attend, self.mlp = Attention(width, heads), mlp(width)
        self.tell = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.tell.weight)
        nn.init.zeros_(self.tell.bias)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift, gate, scale_mlp, shift_mlp, gate_mlp = (
            self.tell(nn.functional.silu(told)).unsqueeze(1).chunk(6, dim=-1)
        )
        normed = self.norm(x) * (1 + scale) + shift
        x = x + gate * self.attend(normed, normed)
        found: Tensor = x + gate_mlp * self.mlp(self.norm_mlp(x) * (1 + scale_mlp) + shift_mlp)
        return found


def silence(words: Tensor) -> Tensor:
    """Captions that say nothing: START and END."""
    empty = torch.full_like(words, PAD)
    empty[:, 0], empty[:, 1] = START, END
    return empty


def as_videos(pixels: Tensor) -> Tensor:
    """uint8 [n, frames, side, side, 3] as [n, 3, frames, side, side] from −1 to 1."""
    return pixels.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def as_pixels(videos: Tensor) -> Tensor:
    """Videos from −1 to 1 as uint8 pixels, the other way round than `as_videos`."""
    return ((videos + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 4, 1)


@torch.inference_mode()
def generate(
    model: TextToVideo,
    words: Tensor,
    form: Form,
    noise: torch.Generator,
    *,
    steps: int = 8,
    guidance: float = 2.0,
) -> Tensor:
    """A video [n, 3, frames, side, side], from −1 to 1, of each caption, from noise in `steps` Euler steps.

    `guidance`: how many times the caption's influence counts (Ho and Salimans 2022, arXiv 2207.12598).
    """
    size = (len(words), 3, form.frames, form.side_px, form.side_px)
    x = torch.randn(size, generator=noise, device=words.device)
    both = torch.cat([words, silence(words)])
    for k in range(steps):
        level = 1 - k / steps
        told, untold = model(torch.cat([x, x]), torch.full((len(both),), level, device=x.device), both).chunk(
            2
        )
        clean = untold + guidance * (told - untold)
        x = clean + (level - 1 / steps) / level * (x - clean)
    return x.clamp(-1, 1)


def _mixed(videos: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    t = level[:, None, None, None, None]
    return (1 - t) * videos + t * noise


def _waves(level: Tensor, width: int) -> Tensor:
    """The level [n] as sines and cosines [n, width] of rising frequency (Vaswani and others 2017), of 1000 · t."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, device=level.device) / half)
    angles = 1000 * level[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


KIND = Kind(
    "text_to_video",
    TextToVideo,
    VideoShape,
    lambda model, pixels, words, noise: model.loss(as_videos(pixels), words, noise),
)
"""How it is trained, kept and read again."""
