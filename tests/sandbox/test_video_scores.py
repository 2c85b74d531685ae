"""Measures of generated videos: values that can be worked out, and what they are to tell apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sluice.sandbox.proxy.shapes import Scene, drawn, with_noise
from sluice.sandbox.proxy.text_to_video import as_videos
from sluice.sandbox.proxy.video_encoder import VideoEncoder
from sluice.sandbox.proxy.video_scores import (
    dynamic_degree,
    frechet_distance,
    subject_consistency,
    temporal_flicker,
    text_agreement,
    video_scores,
)


def moving(motion: str, count: int = 4, noise: float = 0.0, seed: int = 0) -> Tensor:
    """Videos of a large white square on black ground."""
    rng = np.random.default_rng(seed)
    scene = Scene("white", "square", "large", "black", motion=motion)
    pixels = [with_noise(drawn(scene, rng, 16, 8), rng, noise) for _ in range(count)]
    return as_videos(torch.from_numpy(np.stack(pixels)))


def test_frechet_distance_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(500, 3))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one + np.array([3, 0, 4])) == pytest.approx(25)
    # Of two normal distributions in one dimension: (μ₁ − μ₂)² + (σ₁ − σ₂)².
    wide = 3 * one[:, :1] + 1
    expected = (wide.mean() - one[:, 0].mean()) ** 2 + (2 * one[:, 0].std(ddof=1)) ** 2
    assert frechet_distance(one[:, :1], wide) == pytest.approx(expected)
    # Correlated, by scipy 1.17: |μ|² + tr(Σ₁ + Σ₂ − 2 sqrtm(Σ₁ Σ₂)).
    from scipy.linalg import sqrtm

    other = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 3))
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = np.trace(sqrtm(first @ second).real)
    means = ((one.mean(0) - other.mean(0)) ** 2).sum()
    assert frechet_distance(one, other) == pytest.approx(means + np.trace(first + second) - 2 * root)


def test_flicker_is_the_mean_change_between_frames() -> None:
    still = moving("stands still")
    assert temporal_flicker(still) == 0
    black_and_white = torch.ones(1, 3, 8, 16, 16)
    black_and_white[:, :, ::2] = -1
    assert temporal_flicker(black_and_white) == 1
    assert temporal_flicker(moving("stands still", noise=40)) > temporal_flicker(moving("moves up")) > 0


def test_what_moves_is_dynamic_and_what_stays_alike_is_consistent() -> None:
    encoder = VideoEncoder("cpu")
    mixed = torch.cat([moving("moves left", 3), moving("stands still", 1)])
    assert dynamic_degree(mixed) == 0.75
    assert subject_consistency(moving("stands still"), encoder) == pytest.approx(1)
    noisy = subject_consistency(moving("stands still", noise=60), encoder)
    assert noisy < subject_consistency(moving("moves left"), encoder) < 1


def test_text_agreement_is_one_for_the_true_and_a_half_for_the_dealt() -> None:
    features = np.random.default_rng(1).normal(size=(60, 8))
    nobody = np.eye(60, dtype=bool)
    assert text_agreement(features, features, nobody) == 1
    assert text_agreement(np.zeros((60, 8)), np.ones((60, 8)), nobody) == 0.5
    dealt = text_agreement(features[np.random.default_rng(2).permutation(60)], features, nobody)
    assert abs(dealt - 0.5) < 0.1
    everybody = np.ones((60, 60), dtype=bool)
    assert text_agreement(features, features, everybody) == 0.5


def test_scores_see_noise_and_other_colours_and_motions() -> None:
    motions = ["moves left", "moves right", "moves up", "stands still"] * 5
    true = torch.cat([moving(motion, 1, seed=k) for k, motion in enumerate(motions)])
    like = torch.cat([moving(motion, 1, seed=50 + k) for k, motion in enumerate(motions)])
    noisy = torch.cat([moving(motion, 1, noise=60, seed=50 + k) for k, motion in enumerate(motions)])
    nobody = np.eye(20, dtype=bool)
    found = {name: video_scores(made, true, nobody) for name, made in (("like", like), ("noisy", noisy))}

    assert found["like"]["frechet_distance"] < found["noisy"]["frechet_distance"] / 3
    assert found["like"]["temporal_flicker"] < found["noisy"]["temporal_flicker"]
    same = np.array([[a == b for b in motions] for a in motions])
    assert video_scores(like, true, same)["text_agreement"] > 0.9


def test_the_encoder_never_changes() -> None:
    features = VideoEncoder("cpu").whole(moving("moves down", 1)).double().numpy()[0]
    assert features.shape == (48,)
    assert features.sum() == pytest.approx(15.0085, rel=1e-4)
