"""How good generated videos are, by themselves and beside true ones of the same captions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from sluice.sandbox.proxy.video_encoder import VideoEncoder

Features = NDArray[np.float64]

MOVES = 0.1
"""A change of a colour channel between frames, of 2 (black is −1, white 1), that is motion rather than unrest."""


def frechet_distance(ours: Features, theirs: Features) -> float:
    """The squared Fréchet distance of the normal distributions fitted to two sets of features [n, d].

    |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), as FID (Heusel and others 2017) and FVD (Unterthiner and others 2018) take
    it. The trace of the root is the sum of the roots of the eigenvalues of Σ₁^½ Σ₂ Σ₁^½.
    """
    means = ours.mean(0) - theirs.mean(0)
    one, other = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (ours, theirs))
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(0)).sum()
    return float(max(0.0, means @ means + np.trace(one) + np.trace(other) - 2 * shared))


def temporal_flicker(videos: Tensor) -> float:
    """Mean absolute difference of neighbouring frames, from 0 to 1; VBench's temporal flickering is 1 less this."""
    return float(videos.diff(dim=2).abs().mean() / 2)


def dynamic_degree(videos: Tensor) -> float:
    """The share, from 0 to 1, of videos in which something moves.

    As VBench's (Huang and others 2024), with the change between frames of the channel that changes most, in squares
    of 4 × 4 pixels, in place of the length of optical flow: the mean of a video's largest 5 % is over `MOVES`.
    """
    coarse = F.avg_pool3d(videos, (1, 4, 4))
    changes = coarse.diff(dim=2).abs().amax(1).flatten(1)
    largest = changes.topk(max(1, changes.shape[1] // 20), dim=1).values.mean(1)
    return float((largest > MOVES).double().mean())


def subject_consistency(videos: Tensor, encoder: VideoEncoder) -> float:
    """How alike frames are to the first and to the one before, as VBench's, in features of `encoder`: at most 1.

    The mean of both cosines, over all frames but the first and over all videos.
    """
    frames = F.normalize(encoder.frames(videos), dim=-1)
    to_first = (frames[:, 1:] * frames[:, :1]).sum(-1)
    to_previous = (frames[:, 1:] * frames[:, :-1]).sum(-1)
    return float((to_first + to_previous).mean() / 2)


def text_agreement(made: Features, true: Features, same: NDArray[np.bool_]) -> float:
    """How often what was made of a caption is nearer to its true video than to that of another caption, from 0 to 1.

    Over all pairs of captions that are not the same; equal distances count half, and 0.5 is chance (the retrieval
    precision of text-to-image papers, Xu and others 2018, with one other at a time). Features are first divided by
    their deviations among the true ones.
    """
    scale = true.std(0) + 1e-9
    distances = np.linalg.norm((made / scale)[:, None] - (true / scale)[None], axis=2)
    own = np.diag(distances)[:, None]
    nearer = (own < distances) + 0.5 * (own == distances)
    return float(nearer[~same].mean()) if (~same).any() else 0.5


def video_scores(made: Tensor, true: Tensor, same: NDArray[np.bool_]) -> dict[str, float]:
    """Every metric of videos [n, 3, frames, side, side] made of captions whose true videos are `true`."""
    encoder = VideoEncoder(str(made.device))

    def features(how: str, videos: Tensor) -> Features:
        return np.asarray(getattr(encoder, how)(videos).double().cpu().numpy())

    return {
        "frechet_distance": frechet_distance(features("whole", made), features("whole", true)),
        "temporal_flicker": temporal_flicker(made),
        "dynamic_degree": dynamic_degree(made),
        "subject_consistency": subject_consistency(made, encoder),
        "text_agreement": text_agreement(features("coarse", made), features("coarse", true), same),
    }
