"""The training loop of the small models: seeded, told in a log, kept in checkpoints, ended early where it diverges."""

from __future__ import annotations

import hashlib
import json
import math
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sluice.errors import TrialError
from sluice.sandbox.proxy.presets import Plan
from sluice.sandbox.train.protocol import Trained

LossOf = Callable[[NDArray[np.int64], torch.Generator], Tensor]
"""The loss of a batch, given as positions in the data; the generator is for what is random in it."""

WINDOW = 20
"""Steps over which a loss is averaged before it is judged or told."""
DIVERGED = 1.5
"""A loss that stands so many times as high as in the first steps is not coming down again."""

_CHECKPOINT = "checkpoint.pt"


@contextmanager
def repeatable(seed: int, threads: int, device: str = "cpu") -> Iterator[None]:
    """Everything random inside depends on the seed alone, and sums on a CPU are taken in one order; then as before.

    `device` is the one that is worked on; the random states of others are left alone.
    """
    before, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    on = torch.device(device)
    with torch.random.fork_rng([on] if on.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if on.type == "cuda":
            torch.cuda.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling memory that is written anyway finds errors in kernels, and costs a tenth of the time.
        filling: Any = torch.utils.deterministic
        filled, filling.fill_uninitialized_memory = filling.fill_uninitialized_memory, False
        try:
            yield
        finally:
            filling.fill_uninitialized_memory = filled
            torch.use_deterministic_algorithms(deterministic)
            torch.set_num_threads(before)


def batches(count: int, size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Positions of one batch after another: all of the data in a new order, again and again.

    A batch may reach over the end of an order, and is never larger than the data.
    """
    size, left = min(size, count), np.empty(0, np.int64)
    for epoch in range(sys.maxsize):
        left = np.concatenate([left, np.random.default_rng([seed, epoch]).permutation(count)])
        while len(left) >= size:
            yield left[:size]
            left = left[size:]


def fit(
    model: nn.Module,
    loss_of: LossOf,
    count: int,
    plan: Plan,
    output: Path,
    *,
    seed: int,
    log: Path,
    about: Any,
) -> Trained:
    """Train the model, which is on its device, on `count` samples.

    A checkpoint in `output` is gone on from where `about` (settings and data) and the seed are its own; it is removed
    in the end. Equal seeds have equal orders of data and equal noise at every step, whether or not a run was killed in
    between. `TrialError` (`diverged: …`) once the loss is no number, or its mean over 20 steps is 1.5 times that of
    the first 20.
    """
    run = _Run(model, plan, output / _CHECKPOINT, log, _digest([about, seed, count]))
    started, cpu_started = perf_counter(), process_time()
    device = next(model.parameters()).device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)  # those of the run before
    noise = torch.Generator(device=device)
    model.train()
    for step, chosen in zip(range(plan.steps), batches(count, plan.batch_size, seed), strict=False):
        if step < run.done:
            continue
        noise.manual_seed((seed << 32) + step)
        run.step(step, loss_of(chosen, noise))
    run.checkpoint.unlink(missing_ok=True)
    model.eval()
    return Trained(
        model=output,
        metrics={"loss": float(np.mean(run.losses[-WINDOW:]))},
        samples_seen=plan.steps * min(plan.batch_size, count),
        seconds=perf_counter() - started,
        peak_memory_bytes=_peak_memory_bytes(device),
        cpu_s=process_time() - cpu_started,
    )


class _Run:
    def __init__(self, model: nn.Module, plan: Plan, checkpoint: Path, log: Path, digest: str) -> None:
        self.model, self.plan, self.checkpoint, self.log, self.digest = model, plan, checkpoint, log, digest
        self.optimizer = torch.optim.AdamW(model.parameters(), weight_decay=plan.weight_decay, fused=True)
        self.losses: list[float] = []
        self._resume()

    @property
    def done(self) -> int:
        return len(self.losses)

    def step(self, step: int, loss: Tensor) -> None:
        self.losses.append(float(loss.detach()))
        self._judge(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        done = step + 1
        if done % WINDOW == 0 or done == self.plan.steps:
            self._tell(f"step {done} of {self.plan.steps}: loss {np.mean(self.losses[-WINDOW:]):.4f}")
        if done % self.plan.checkpoint_steps == 0 and done < self.plan.steps:
            self._keep()

    def _judge(self, step: int) -> None:
        loss = self.losses[-1]
        why = f"loss is {loss} at step {step + 1}" if not math.isfinite(loss) else ""
        if not why and self.done >= 2 * WINDOW:
            first, now = np.mean(self.losses[:WINDOW]), np.mean(self.losses[-WINDOW:])
            if now > DIVERGED * first:
                why = f"loss rose from {first:.3g} to {now:.3g} by step {step + 1}"
        if why:
            self._tell(f"diverged: {why}")
            raise TrialError(f"diverged: {why}", where=str(self.log), fix="lower the learning rate")

    def _keep(self) -> None:
        state = {
            "digest": self.digest,
            "losses": self.losses,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        writing = self.checkpoint.with_suffix(".writing")
        torch.save(state, writing)
        writing.replace(self.checkpoint)

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state: Mapping[str, Any] = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if state["digest"] != self.digest:
            self._tell("the checkpoint here is of other settings or data: beginning anew")
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses = state["losses"]
        self._tell(f"going on after step {self.done}")

    def _tell(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def _digest(about: Any) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def _peak_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
