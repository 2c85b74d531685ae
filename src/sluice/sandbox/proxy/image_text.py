"""A small model of pictures and their captions: which belong together, and what to say of a picture."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from torch import Tensor, nn

from sluice.sandbox.proxy.attention import Layer
from sluice.sandbox.proxy.kind import Kind
from sluice.sandbox.proxy.presets import ImageTextShape
from sluice.sandbox.proxy.words import PAD

CAPTIONING_WEIGHT = 2.0
"""Of the captioning loss beside the contrastive one, as in CoCa (Yu and others 2022)."""
_HIGHEST_SCALE = math.log(100.0)  # CLIP's bound (Radford and others 2021), and its start below


class ImageText(nn.Module):
    """A convolutional network for pictures, a transformer for captions, and one that writes captions.

    Trained with the two losses of CoCa (Yu and others 2022, arXiv 2205.01917): CLIP's between the vectors of pictures
    and captions in a batch, and the likelihood of each caption, word by word, given the parts of its picture.
    """

    def __init__(self, shape: ImageTextShape) -> None:
        super().__init__()
        width, channels, form = shape.width, shape.channels, shape.form
        parts = (form.side_px // 8) ** 2
        self.picture = nn.Sequential(
            _halving(3, channels), _halving(channels, 2 * channels), _halving(2 * channels, 4 * channels)
        )
        self.parts, self.picture_vector = nn.Linear(4 * channels, width), nn.Linear(parts * width, width)
        self.part_places = nn.Parameter(0.02 * torch.randn(parts, width))
        self.words = nn.Embedding(form.vocabulary, width)
        self.word_places = nn.Parameter(0.02 * torch.randn(form.length, width))
        self.reader = nn.ModuleList(Layer(width, shape.heads) for _ in range(shape.layers))
        self.caption_vector = nn.Linear(width, width)
        self.writer = nn.ModuleList(Layer(width, shape.heads, onto=True) for _ in range(shape.layers))
        self.norm, self.next_word = nn.LayerNorm(width), nn.Linear(width, form.vocabulary)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors [n, width] and parts [n, parts, width] of uint8 pixels [n, side, side, 3]."""
        seen = self.picture(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)
        parts = self.parts(seen.flatten(2).transpose(1, 2))
        return F.normalize(self.picture_vector(parts.flatten(1)), dim=-1), parts + self.part_places

    def captions(self, words: Tensor) -> Tensor:
        """Unit vectors [n, width] of word numbers [n, length]."""
        there = words != PAD
        x = self.words(words) + self.word_places[: words.shape[1]]
        for layer in self.reader:
            x = layer(x, mask=there)
        weights = there.unsqueeze(-1).to(x.dtype)
        return F.normalize(self.caption_vector((x * weights).sum(1) / weights.sum(1)), dim=-1)

    def next_words(self, words: Tensor, parts: Tensor) -> Tensor:
        """For each place the logits [n, length, vocabulary] of the word that comes after it."""
        x = self.words(words) + self.word_places[: words.shape[1]]
        for layer in self.writer:
            x = layer(x, parts, causal=True)
        found: Tensor = self.next_word(self.norm(x))
        return found

    def surprise(self, words: Tensor, parts: Tensor) -> Tensor:
        """The negative log-likelihood [n, length − 1] of each word (END too) given those before; 0 at PAD."""
        logits = self.next_words(words[:, :-1], parts)
        return F.cross_entropy(logits.transpose(1, 2), words[:, 1:], ignore_index=PAD, reduction="none")

    def loss(self, pixels: Tensor, words: Tensor) -> Tensor:
        """The sum of both losses, in nats; captions count word by word."""
        vectors, parts = self.pictures(pixels)
        alike = self.scale.clamp(max=_HIGHEST_SCALE).exp() * vectors @ self.captions(words).T
        own = torch.arange(len(alike), device=alike.device)
        contrastive = (F.cross_entropy(alike, own) + F.cross_entropy(alike.T, own)) / 2
        captioning = self.surprise(words, parts).sum() / (words[:, 1:] != PAD).sum()
        return contrastive + CAPTIONING_WEIGHT * captioning


def _halving(inside: int, outside: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, 2, 1), nn.GroupNorm(4, outside), nn.GELU())


KIND = Kind(
    "image_text",
    ImageText,
    ImageTextShape,
    lambda model, pixels, words, noise: model.loss(pixels[:, 0], words),
)
"""How it is trained, kept and read again."""
