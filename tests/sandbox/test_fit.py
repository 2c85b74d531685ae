"""The loop that trains the small models: seeded, resumed where it was killed, ended where it diverges."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sluice.errors import TrialError
from sluice.sandbox.proxy.fit import batches, fit, repeatable
from sluice.sandbox.proxy.presets import Plan
from sluice.sandbox.train.protocol import Trained

PLAN = Plan(steps=60, batch_size=8, learning_rate=1e-2, checkpoint_steps=10)
POINTS = torch.linspace(-1, 1, 40).unsqueeze(1)


class Line:
    """A line through points, with noise on them; `kill_at` and `spoil_at` are steps at which something happens."""

    def __init__(self, kill_at: int = -1, spoil_at: int = -1, spoiled: float = float("nan")) -> None:
        self.kill_at, self.spoil_at, self.spoiled = kill_at, spoil_at, spoiled
        self.steps = 0

    def train(self, output: Path, seed: int = 1, plan: Plan = PLAN) -> tuple[Trained, Tensor]:
        with repeatable(seed, 1):
            self.model = nn.Linear(1, 1)
            done = fit(
                self.model, self.loss, 40, plan, output, seed=seed, log=output / "log.txt", about="line"
            )
            return done, torch.cat([p.detach().flatten() for p in self.model.parameters()])

    def loss(self, chosen: NDArray[np.int64], noise: torch.Generator) -> Tensor:
        if self.steps == self.kill_at:
            raise KeyboardInterrupt
        self.steps += 1
        x = POINTS[torch.from_numpy(chosen)]
        loss = (self.model(x) - 2 * x - torch.randn(x.shape, generator=noise)).square().mean()
        return loss * self.spoiled if 0 <= self.spoil_at < self.steps else loss


def test_equal_seeds_give_equal_models_and_others_do_not(tmp_path: Path) -> None:
    (first, weights), (_, again), (_, other) = (Line().train(tmp_path, seed) for seed in (1, 1, 2))

    assert torch.equal(weights, again)
    assert not torch.equal(weights, other)
    assert first.samples_seen == 60 * 8
    assert first.metrics["loss"] > 0
    assert "step 60 of 60: loss" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize("kill_at", [3, 10, 37, 59])
def test_a_killed_run_goes_on_to_the_same_model(tmp_path: Path, kill_at: int) -> None:
    (tmp_path / "whole").mkdir()
    whole, weights = Line().train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        Line(kill_at=kill_at).train(tmp_path)

    rest = Line()
    resumed, found = rest.train(tmp_path)

    assert rest.steps == 60 - kill_at // 10 * 10
    assert torch.equal(found, weights)
    assert resumed.metrics == whole.metrics
    assert not (tmp_path / "checkpoint.pt").exists()


def test_the_checkpoint_of_another_seed_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Line(kill_at=20).train(tmp_path, seed=1)
    fresh = Line()
    fresh.train(tmp_path, seed=2)
    assert fresh.steps == 60
    assert "beginning anew" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [(float("nan"), "diverged: loss is nan at step 31"), (50.0, "diverged: loss rose from ")],
)
def test_divergence_ends_a_run_early_with_its_reason(tmp_path: Path, spoiled: float, reason: str) -> None:
    line = Line(spoil_at=30, spoiled=spoiled)
    with pytest.raises(TrialError) as caught:
        line.train(tmp_path)
    assert caught.value.reason.startswith(reason)
    assert line.steps < 60
    assert reason in (tmp_path / "log.txt").read_text()


def test_batches_take_all_of_the_data_before_any_of_it_again() -> None:
    seen = np.concatenate(list(islice(batches(10, 4, seed=3), 5)))
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()
    again = np.concatenate(list(islice(batches(10, 4, seed=3), 5)))
    assert np.array_equal(seen, again)
    assert [len(b) for b in islice(batches(3, 8, seed=0), 3)] == [3, 3, 3]


def test_the_rate_rises_in_a_line_and_falls_by_a_cosine() -> None:
    plan = Plan(steps=100, batch_size=1, learning_rate=1.0)
    assert [plan.rate(step) for step in (0, 9, 10, 55)] == pytest.approx([0.1, 1, 1, 0.5])
    assert plan.rate(99) < 0.001


def test_what_was_set_is_set_again_afterwards() -> None:
    before, state = torch.get_num_threads(), torch.random.get_rng_state()
    with repeatable(7, 1):
        torch.rand(3)
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == before
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()
