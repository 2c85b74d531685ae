"""Attention and the layers around it, as small as they can be, for captions, pictures and videos alike."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - its name everywhere
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention (Vaswani and others 2017) from one sequence [batch, n, width] to another or itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, onto: Tensor, *, causal: bool = False, mask: Tensor | None = None) -> Tensor:
        """`mask` [batch, m]: true where `onto` may be looked at; `causal`: nothing that comes later is."""
        batch, n, width = x.shape
        key, value = self.key_value(onto).chunk(2, dim=-1)
        query, key, value = (
            part.reshape(batch, -1, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.query(x), key, value)
        )
        allowed = None if mask is None else mask[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, is_causal=causal)
        found: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, n, width))
        return found


class Layer(nn.Module):
    """A transformer layer, normed first: attention to itself, then (with `onto`) to a memory, then a small MLP."""

    def __init__(self, width: int, heads: int, *, onto: bool = False) -> None:
        super().__init__()
        self.norm, self.attend = nn.LayerNorm(width), Attention(width, heads)
        self.norm_onto = nn.LayerNorm(width) if onto else None
        self.attend_onto = Attention(width, heads) if onto else None
        self.norm_mlp, self.mlp = nn.LayerNorm(width), mlp(width)

    def forward(
        self, x: Tensor, onto: Tensor | None = None, *, causal: bool = False, mask: Tensor | None = None
    ) -> Tensor:
        """The sequence after the layer; `causal` and `mask` are of the attention to itself."""
        normed = self.norm(x)
        x = x + self.attend(normed, normed, causal=causal, mask=mask)
        if onto is not None and self.norm_onto is not None and self.attend_onto is not None:
            x = x + self.attend_onto(self.norm_onto(x), onto)
        found: Tensor = x + self.mlp(self.norm_mlp(x))
        return found


def mlp(width: int) -> nn.Module:
    """Two linear layers with a GELU between, four times as wide inside."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
